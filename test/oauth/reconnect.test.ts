import { expect, test } from 'vitest'
import { json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { begin, comeBack, connect, knows, startPair, storedConnections } from './harness.ts'

test('a delivery that waits for re-consent goes on by itself when the organizer connects again', async () => {
  const pair = await startPair({
    handlers: {
      revento: {
        'application.approved': async ({ api }) => {
          await api.participants()
        },
      },
    },
  })
  const delivery = () => pair.app.database.query.selectFrom('inbox').select(['state']).executeTakeFirst()
  await connect(pair)
  pair.upstream.onApi = knows('fresh')
  pair.upstream.onToken = json(400, { error: 'invalid_grant' })
  const { body, headers } = signedDelivery()
  await fetch(`${pair.app.url}/webhooks/revento`, { method: 'POST', body, headers })
  await until(async () => (await delivery())?.state === 'parked')

  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  await connect(pair)
  await until(async () => (await delivery())?.state === 'done')
  const bearers = pair.upstream.apiRequests().map(r => r.headers.authorization)
  expect(bearers.filter(bearer => bearer === 'Bearer fresh')).toHaveLength(2)
})

test('a consent under way outlives the deletion of the connection before it: disconnect, connect again', async () => {
  const pair = await startPair()
  await connect(pair)
  const { client, state } = await begin(pair)
  const event = { type: 'data.deletion_required', occurred_at: new Date().toISOString(), data: {} }
  const { body, headers } = signedDelivery({ event })
  await fetch(`${pair.app.url}/webhooks/revento`, { method: 'POST', body, headers })
  await until(async () => (await storedConnections(pair))[0]?.state === 'deleted')
  await until(() => pair.app.log.some(line => line['msg'] === 'stored data of the event erased'))
  const reply = await comeBack(pair, client, { code: 'good-code', state })
  expect([reply.status, reply.json()['message']]).toEqual([200, 'Connected!'])
  expect((await storedConnections(pair)).map(row => row.state)).toEqual(['connected'])
})
