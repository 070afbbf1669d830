import { expect, test } from 'vitest'
import { json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { connect, knows, startPair } from './harness.ts'

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
