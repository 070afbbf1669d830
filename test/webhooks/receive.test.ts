import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { WEBHOOK_SECRET } from '../helpers/app.ts'
import { envelope } from '../helpers/webhook.ts'
import { type Receiver, startReceiver } from './harness.ts'

const PREVIOUS = 'whsec_before_the_rotation'
let app: Receiver
beforeAll(async () => {
  app = await startReceiver({
    env: { REVENTO_WEBHOOK_SECRET_PREVIOUS: PREVIOUS, WEBHOOK_BODY_LIMIT: '2048' },
  })
})
afterAll(() => app.close())
beforeEach(async () => {
  await app.settled()
  for (const table of ['outcomes', 'deliveries'] as const)
    await app.database.query.deleteFrom(table).execute()
  app.ran.length = 0
  app.log.length = 0
})

const sized = (bytes: number) => {
  const event = envelope({ data: { filler: '' } })
  event.data = { filler: 'x'.repeat(bytes - JSON.stringify(event).length) } as never
  return JSON.stringify(event)
}

test('a webhook is answered ok as plain text, stored with its exact bytes, and handled once', async () => {
  const body = `${JSON.stringify(envelope({ id: 'evt_d1', data: { name: 'Café 🎉' } }), null, 1)}\n`
  const answer = await app.send({ body, id: 'Ab-1' })
  expect(answer).toEqual({ status: 200, text: 'ok', type: 'text/plain; charset=utf-8' })
  const [row, ...others] = await app.settled()
  expect(others).toEqual([])
  expect(row).toMatchObject({
    provider: 'revento',
    delivery_id: 'ab-1',
    envelope_id: 'evt_d1',
    type: 'application.approved',
    event_id: 'evt_test_published',
    organization_id: 'org_test_formal',
    state: 'done',
    attempts: 1,
    duplicate_of: null,
    lease_owner: null,
  })
  expect(Buffer.from(row?.body ?? [])).toEqual(Buffer.from(body))
  expect(app.ran).toEqual(['evt_d1'])
})

test('a webhook is stored before it is answered', async () => {
  const [row] = await app.send().then(() => app.rows())
  expect(row).toBeDefined()
})

test('the handler is chosen by the signed type, not by the header', async () => {
  await app.send({ event: { id: 'evt_a' }, headers: { 'x-revento-event': 'activity.updated' } })
  await app.send({
    event: { type: 'activity.updated' },
    headers: { 'x-revento-event': 'application.approved' },
  })
  expect((await app.settled()).map(row => [row.type, row.state])).toEqual([
    ['application.approved', 'done'],
    ['activity.updated', 'ignored'],
  ])
  expect(app.ran).toEqual(['evt_a'])
  expect(app.requestLog().map(line => line['type_header_differs'])).toEqual([true, true])
})

test.each(['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'no.such.type'])(
  'a delivery of type %s is stored and ignored',
  async type => {
    expect((await app.send({ event: { type } })).status).toBe(200)
    expect((await app.settled()).map(row => row.state)).toEqual(['ignored'])
  },
)

test('ids named like members of every object are ids like others', async () => {
  for (const id of ['__proto__', 'constructor', 'prototype']) {
    expect((await app.send({ event: { id, event_id: id, organization_id: id }, id })).status).toBe(200)
  }
  expect((await app.settled()).map(row => [row.envelope_id, row.event_id, row.state])).toEqual(
    ['__proto__', 'constructor', 'prototype'].map(id => [id, id, 'done']),
  )
})

test('members named __proto__ change nothing of the envelope', async () => {
  const body = JSON.stringify(envelope({ id: 'evt_p' })).replace(
    '{',
    '{"__proto__":{"type":"activity.updated"},',
  )
  expect((await app.send({ body })).status).toBe(200)
  expect(await app.settled()).toMatchObject([{ type: 'application.approved', state: 'done' }])
})

test('null ids of an integration-level event are accepted', async () => {
  await app.send({ event: { event_id: null, organization_id: null } })
  expect(await app.settled()).toMatchObject([{ event_id: null, organization_id: null, state: 'done' }])
})

test.each([
  ['one character', '!'],
  ['200 characters', '~'.repeat(200)],
  ['a UUID', '5b0c2f2e-1f0a-4c3e-9a51-0d6a4b8c7e11'],
])('a delivery id of %s is accepted', async (_, id) => {
  expect((await app.send({ id })).status).toBe(200)
  expect((await app.settled()).map(row => row.delivery_id)).toEqual([id])
})

test.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON ;charset=UTF-8'])(
  'takes the content type %s',
  async type => {
    expect((await app.send({ headers: { 'content-type': type } })).status).toBe(200)
  },
)

test('a body of exactly the limit is taken, with a length and in chunks', async () => {
  expect((await app.send({ body: sized(2048) })).status).toBe(200)
  expect((await app.settled())[0]?.body).toHaveLength(2048)
})

test('the log says which secret it was, and never the secret, the signature or the body', async () => {
  await app.send({ secret: PREVIOUS, event: { data: { name: 'Ada Lovelace' } } })
  await app.send()
  await app.settled()
  expect(app.requestLog().map(line => line['secret'])).toEqual(['previous', 'current'])
  const log = JSON.stringify(app.log)
  for (const secret of [PREVIOUS, WEBHOOK_SECRET, 'sha256=', 'Ada Lovelace'])
    expect(log).not.toContain(secret)
})
