import { expect, test } from 'vitest'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import {
  connect,
  expectError,
  type Pair,
  participantsUrl,
  startPair,
  storedConnections,
} from '../oauth/harness.ts'

/** The platform tells by webhook; the connection's state follows when its handler has run. */
async function tell(pair: Pair, type: string, ids: Record<string, unknown> = {}) {
  const { client } = await connect(pair)
  const { body, headers } = signedDelivery({
    event: { type, occurred_at: new Date().toISOString(), data: {}, ...ids },
  })
  await client.post(`${pair.app.url}/webhooks/revento`, body, headers)
  await until(async () => (await storedConnections(pair)).every(row => row.state !== 'connected'))
  pair.upstream.requests.length = 0
  return client
}

test('an event whose data had to be deleted answers like one that does not exist', async () => {
  const pair = await startPair()
  const client = await tell(pair, 'data.deletion_required')
  expectError(pair, await client.get(participantsUrl(pair)), 404, 'not_found')
  expect(pair.upstream.requests).toEqual([])
})

test('a suspended integration answers 409 suspended without asking Revento', async () => {
  const pair = await startPair()
  const client = await tell(pair, 'integration.suspended', { event_id: null, organization_id: null })
  const reply = await client.get(participantsUrl(pair))
  expect([reply.status, reply.json()['error']]).toEqual([409, 'suspended'])
  expect(pair.upstream.requests).toEqual([])
})
