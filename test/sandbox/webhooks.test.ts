import { describe, expect, test } from 'vitest'
import { revento } from '../../src/webhooks/providers/revento.ts'
import { verify } from '../../src/webhooks/verify/signature.ts'
import {
  api,
  call,
  connect,
  EVENT,
  post,
  type Received,
  receiver,
  type Started,
  start,
  until,
  WEBHOOK_SECRET,
} from './harness.ts'

type Row = Record<string, unknown>
const envelope = (received: Received | undefined): Row & { data: Row } => JSON.parse(received?.body ?? '{}')
const idOf = (received: Received | undefined) => received?.headers['x-revento-delivery-id']

function isSigned(sandbox: Started, { headers, body }: Received): boolean {
  const secrets = { current: WEBHOOK_SECRET }
  return verify(revento, secrets, headers, Buffer.from(body), sandbox.runtime.now()).ok
}

async function deliveries({ url }: Started): Promise<Row[]> {
  return (await call(`${url}/console/api/deliveries`)).json['data'] as Row[]
}

describe('after a connection', () => {
  test('four signed webhooks follow a connection within four seconds, in order, each with its own ids', async () => {
    const hook = await receiver()
    const sandbox = await start({ webhookUrl: hook.url })
    await connect(sandbox)
    sandbox.runtime.advance(299)
    await new Promise(setImmediate)
    expect(hook.received).toHaveLength(0)
    sandbox.runtime.advance(1)
    for (const [index, ms] of [1200, 1200, 1300, 0].entries()) {
      await until(() => hook.received.length === index + 1)
      await until(() => index === 3 || sandbox.runtime.sleeping === 1)
      sandbox.runtime.advance(ms)
    }
    const { received } = hook
    expect(received.map(r => envelope(r)['type'])).toEqual([
      'application.submitted',
      'application.approved',
      'participant.registered',
      'activity.capacity_state_changed',
    ])
    expect(received.map(({ headers }) => headers['x-revento-event'])).toEqual(
      received.map(r => envelope(r)['type']),
    )
    expect(received.every(r => isSigned(sandbox, r))).toBe(true)
    expect(new Set(received.map(r => envelope(r)['id'])).size).toBe(4)
    expect(new Set(received.map(idOf)).size).toBe(4)
    const people = received.slice(0, 3).map(r => envelope(r).data['participant_id'])
    expect(new Set(people).size).toBe(1)
  })

  test('no webhook follows once the installation is revoked', async () => {
    const hook = await receiver()
    const sandbox = await start({ webhookUrl: hook.url })
    await connect(sandbox)
    await post(sandbox, '/console/api/revoke')
    sandbox.runtime.advance(60_000)
    await until(() => sandbox.runtime.sleeping === 0)
    expect(await deliveries(sandbox)).toEqual([])
  })
})

test('application.approved carries the documented fields, and the API agrees', async () => {
  const hook = await receiver()
  const sandbox = await start({ webhookUrl: hook.url })
  const { access } = await connect(sandbox)
  await post(sandbox, '/console/api/webhooks', { type: 'application.approved', event_id: EVENT })
  await until(() => hook.received.length === 1)
  const { id, data, ...rest } = envelope(hook.received[0])
  const at = new Date(sandbox.runtime.now()).toISOString()
  expect(id).toMatch(/^evt_delivery_/)
  expect(rest).toEqual({
    type: 'application.approved',
    occurred_at: at,
    event_id: EVENT,
    organization_id: 'org_test_formal',
  })
  expect(data).toMatchObject({
    id: expect.stringMatching(/^app_/),
    participant_id: expect.stringMatching(/^ptp_/),
    user_id: expect.stringMatching(/^usr_/),
    name: expect.any(String),
    status: 'approved',
    application_status: 'approved',
    approved_at: at,
    approver_id: expect.stringMatching(/^usr_/),
    custom_form_fields: { favorite_track: expect.any(String) },
  })
  const { json } = await api(sandbox, access, `/events/${EVENT}/participants?limit=50`)
  const row = (json['data'] as Row[]).find(({ id }) => id === data['participant_id'])
  expect(row).toMatchObject({
    application_status: 'approved',
    last_review_action: 'approved',
    last_reviewed_at: at,
  })
})

describe('retries', () => {
  test('retries keep the delivery id and the body, and are signed anew', async () => {
    const hook = await receiver(500, 302, 401)
    const sandbox = await start({ webhookUrl: hook.url })
    const { json } = await post(sandbox, '/console/api/webhooks', {
      type: 'activity.updated',
      data: { id: 'act_1' },
    })
    for (const [index, waitMs] of [1000, 2000, 4000].entries()) {
      await until(() => hook.received.length === index + 1 && sandbox.runtime.sleeping === 1)
      sandbox.runtime.advance(waitMs - 1)
      await new Promise(setImmediate)
      expect(hook.received).toHaveLength(index + 1)
      sandbox.runtime.advance(1)
    }
    await until(() => hook.received.length === 4)
    const { received } = hook
    expect(received.map(idOf)).toEqual(Array.from({ length: 4 }, () => json['delivery_id']))
    expect(new Set(received.map(({ body }) => body)).size).toBe(1)
    expect(new Set(received.map(({ headers }) => headers['x-revento-timestamp'])).size).toBe(4)
    expect(new Set(received.map(({ headers }) => headers['x-revento-signature'])).size).toBe(4)
    expect(received.every(r => isSigned(sandbox, r))).toBe(true)
    const [logged] = await until(async () => {
      const list = await deliveries(sandbox)
      return list[0]?.['state'] === 'delivered' ? list : undefined
    })
    expect(logged).toMatchObject({
      delivery_id: json['delivery_id'],
      type: 'activity.updated',
      attempts: [{ status: 500 }, { status: 302 }, { status: 401 }, { status: 200, error: null }],
    })
  })

  test('retries end after the eighth attempt with a dead letter that says why', async () => {
    const sandbox = await start()
    await post(sandbox, '/console/api/webhooks', { type: 'activity.updated' })
    for (const waitS of [1, 2, 4, 8, 16, 30, 60]) {
      await until(() => sandbox.runtime.sleeping === 1)
      sandbox.runtime.advance(waitS * 1000)
    }
    const [dead] = await until(async () => {
      const list = await deliveries(sandbox)
      return list[0]?.['state'] === 'dead' ? list : undefined
    })
    const attempts = dead?.['attempts'] as Row[]
    expect(attempts).toHaveLength(8)
    expect(attempts[7]).toMatchObject({ status: null, error: 'ECONNREFUSED' })
    expect(sandbox.runtime.sleeping).toBe(0)
  })

  test('retries are cancelled by close', async () => {
    const sandbox = await start()
    await connect(sandbox)
    await post(sandbox, '/console/api/webhooks', { type: 'activity.updated' })
    await until(() => sandbox.runtime.sleeping === 2)
    await sandbox.close()
    expect(sandbox.runtime.sleeping).toBe(0)
    expect(sandbox.logLines.filter(line => line.includes('"level":"error"'))).toEqual([])
  })
})
