import { describe, expect, test } from 'vitest'
import { revento } from '../../src/webhooks/providers/revento.ts'
import { verify } from '../../src/webhooks/verify/signature.ts'
import { call, post, type Received, receiver, type Started, start, until, WEBHOOK_SECRET } from './harness.ts'

type Row = Record<string, unknown>
const DATA = { type: 'activity.updated', data: { id: 'act_1', note: 'é' } }
const begin = (sandbox: Started, name: string, term: Row = { count: 1 }) =>
  post(sandbox, '/console/api/faults', { name, ...term })
const deliver = (sandbox: Started, body: object = DATA) => post(sandbox, '/console/api/webhooks', body)
const idOf = ({ headers }: Received) => headers['x-revento-delivery-id']

function verdict(sandbox: Started, { headers, body }: Received): string {
  const result = verify(
    revento,
    { current: WEBHOOK_SECRET },
    headers,
    Buffer.from(body),
    sandbox.runtime.now(),
  )
  return result.ok ? 'ok' : result.reason
}

async function detail(sandbox: Started, id: unknown): Promise<Row & { attempts: Row[] }> {
  return (await call(`${sandbox.url}/console/api/deliveries/${id}`)).json as Row & { attempts: Row[] }
}
const settled = (sandbox: Started, id: unknown) =>
  until(async () => {
    const delivery = await detail(sandbox, id)
    return delivery['state'] === 'pending' ? undefined : delivery
  })

describe('a delivery that must be refused', () => {
  test.each([
    ['webhook_stale', 'timestamp_stale'],
    ['webhook_future', 'timestamp_in_future'],
    ['webhook_tampered', 'signature_mismatch'],
    ['webhook_reserialised', 'signature_mismatch'],
    ['webhook_wrong_secret', 'signature_mismatch'],
  ])('%s is %s, and the next attempt of the same delivery is in order', async (name, reason) => {
    const hook = await receiver(401)
    const sandbox = await start({ webhookUrl: hook.url })
    await begin(sandbox, name)
    const { json } = await deliver(sandbox)
    await until(() => sandbox.runtime.sleeping === 1)
    sandbox.runtime.advance(1000)
    const { attempts } = await settled(sandbox, json['delivery_id'])
    const [first, second] = hook.received as [Received, Received]
    expect(hook.received).toHaveLength(2)
    // Judged by the clock of then.
    expect(verdict(sandbox, first)).toBe(reason)
    expect(verdict(sandbox, second)).toBe('ok')
    expect(idOf(first)).toBe(idOf(second))
    expect(attempts).toMatchObject([
      { status: 401, fault: name, autopsy: expect.stringMatching(/^Bad day: .+\. .+/) },
      { status: 200, fault: null, autopsy: null },
    ])
    expect(attempts[0]).toMatchObject({ request: { body: first.body } })
  })

  test('webhook_stale and webhook_future carry a true signature of their own timestamp', async () => {
    for (const name of ['webhook_stale', 'webhook_future']) {
      const hook = await receiver()
      const sandbox = await start({ webhookUrl: hook.url })
      await begin(sandbox, name)
      await deliver(sandbox)
      const received = await until(() => hook.received[0])
      const at = Number(received.headers['x-revento-timestamp']) * 1000
      const secrets = { current: WEBHOOK_SECRET }
      expect(verify(revento, secrets, received.headers, Buffer.from(received.body), at).ok).toBe(true)
    }
  })

  test('webhook_reserialised means the same; webhook_tampered does not', async () => {
    for (const [name, isSame] of [
      ['webhook_reserialised', true],
      ['webhook_tampered', false],
    ] as const) {
      const hook = await receiver()
      const sandbox = await start({ webhookUrl: hook.url })
      await begin(sandbox, name)
      const { json } = await deliver(sandbox)
      await settled(sandbox, json['delivery_id'])
      const meant = JSON.parse(String((await detail(sandbox, json['delivery_id']))['body']))
      const sent = JSON.parse(hook.received[0]?.body ?? '')
      expect(Buffer.byteLength(hook.received[0]?.body ?? '')).toBe(
        Number(hook.received[0]?.headers['content-length']),
      )
      if (isSame) expect(sent).toEqual(meant)
      else expect(sent).toEqual({ ...meant, tampered: true })
    }
  })
})

test('webhook_duplicate sends the same delivery twice, both in order', async () => {
  const hook = await receiver()
  const sandbox = await start({ webhookUrl: hook.url })
  await begin(sandbox, 'webhook_duplicate')
  const { json } = await deliver(sandbox)
  const { attempts } = await settled(sandbox, json['delivery_id'])
  expect(attempts).toHaveLength(2)
  const [first, second] = hook.received as [Received, Received]
  expect([idOf(second), second.body]).toEqual([idOf(first), first.body])
  expect(hook.received.map(r => verdict(sandbox, r))).toEqual(['ok', 'ok'])
})

test('webhook_out_of_order lets the next delivery overtake', async () => {
  const hook = await receiver()
  const sandbox = await start({ webhookUrl: hook.url })
  await begin(sandbox, 'webhook_out_of_order')
  const older = (await deliver(sandbox)).json['delivery_id']
  sandbox.runtime.advance(1000)
  const newer = (await deliver(sandbox)).json['delivery_id']
  await settled(sandbox, older)
  expect(hook.received.map(idOf)).toEqual([newer, older])
  expect(hook.received.map(r => verdict(sandbox, r))).toEqual(['ok', 'ok'])
  const [first, second] = hook.received.map(({ body }) => JSON.parse(body).occurred_at as string)
  expect(first && second && first > second).toBe(true)
})

test('webhook_out_of_order goes alone after twenty seconds', async () => {
  const hook = await receiver()
  const sandbox = await start({ webhookUrl: hook.url })
  await begin(sandbox, 'webhook_out_of_order')
  const { json } = await deliver(sandbox)
  await until(() => sandbox.runtime.sleeping === 1)
  sandbox.runtime.advance(20_000)
  expect(await settled(sandbox, json['delivery_id'])).toMatchObject({ state: 'delivered' })
})

test('close does not wait for one that waits to be overtaken, and sends nothing', async () => {
  const hook = await receiver()
  const sandbox = await start({ webhookUrl: hook.url })
  await begin(sandbox, 'webhook_out_of_order')
  await deliver(sandbox)
  await until(() => sandbox.runtime.sleeping === 1)
  await sandbox.close()
  expect(hook.received).toEqual([])
})

test.each([{ count: 1 }, { seconds: 60 }])(
  'webhook_burst with %j makes one delivery 40, each with ids of its own',
  async term => {
    const hook = await receiver()
    const sandbox = await start({ webhookUrl: hook.url })
    await begin(sandbox, 'webhook_burst', { ...term, size: 40 })
    await deliver(sandbox)
    await until(async () => {
      const { json } = await call(`${sandbox.url}/console/api/deliveries`)
      const rows = json['data'] as Row[]
      return rows.length === 40 && rows.every(({ state }) => state === 'delivered')
    })
    expect(hook.received).toHaveLength(40)
    expect(new Set(hook.received.map(idOf)).size).toBe(40)
    expect(new Set(hook.received.map(({ body }) => JSON.parse(body).id)).size).toBe(40)
    expect(hook.received.every(r => verdict(sandbox, r) === 'ok')).toBe(true)
  },
)

test('a fault for eight attempts makes a dead letter; Resend delivers it under the same id', async () => {
  const hook = await receiver(...Array<number>(8).fill(401))
  const sandbox = await start({ webhookUrl: hook.url })
  await begin(sandbox, 'webhook_wrong_secret', { count: 8 })
  const { delivery_id } = (await deliver(sandbox)).json
  for (const waitS of [1, 2, 4, 8, 16, 30, 60]) {
    await until(() => sandbox.runtime.sleeping === 1)
    sandbox.runtime.advance(waitS * 1000)
  }
  expect(await settled(sandbox, delivery_id)).toMatchObject({ state: 'dead' })
  const answer = await post(sandbox, `/console/api/deliveries/${delivery_id}/resend`)
  expect([answer.status, answer.json]).toEqual([202, { delivery_id }])
  const { state, attempts } = await settled(sandbox, delivery_id)
  expect([state, attempts.length]).toEqual(['delivered', 9])
  expect(new Set(hook.received.map(idOf))).toEqual(new Set([delivery_id]))
})

test('what is still being sent, or unknown, cannot be resent', async () => {
  const sandbox = await start()
  const { delivery_id } = (await deliver(sandbox)).json
  await until(() => sandbox.runtime.sleeping === 1)
  const pending = await post(sandbox, `/console/api/deliveries/${delivery_id}/resend`)
  expect([pending.status, pending.json['error']]).toEqual([409, 'delivery_pending'])
  expect((await post(sandbox, '/console/api/deliveries/nobody/resend')).status).toBe(404)
})
