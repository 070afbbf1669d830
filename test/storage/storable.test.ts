import { expect, test } from 'vitest'
import { createEventData } from '../../src/storage/event-data.ts'
import { storableJson } from '../../src/storage/sql.ts'
import { testDatabase } from '../helpers/database.ts'
import { until } from '../helpers/wait.ts'
import { bench } from '../webhooks/dispatch/dispatching.ts'
import { startReceiver } from '../webhooks/harness.ts'

const NASTY = 'Ada\u0000 \ud800Lovelace \udc00 "\\u0000" \u001b é 🎲'
const STORED = 'Ada\ufffd \ufffdLovelace \ufffd "\\u0000" \u001b é 🎲'

test('a name with NUL and half surrogates is stored with U+FFFD in their place', async () => {
  const { query } = await testDatabase()
  const data = createEventData(query, { now: () => 1 }, 'real')
  const source = { id: 1, eventId: 'evt_1', organizationId: 'org_1' }
  const change = { participantId: NASTY, name: NASTY, type: 't', occurredAt: '2026' }
  await data.saveParticipant(source, change)
  await data.saveParticipant(source, change)
  expect(await data.participants(source)).toMatchObject([{ participant_id: STORED, name: STORED }])
})

test('the error of a handler is stored so too, and its delivery goes on', async () => {
  const b = await bench()
  b.dispatcher({ run: () => Promise.reject(new Error(NASTY)) })
  const id = await b.append()
  expect(await until(async () => (await b.row(id)).last_error)).toBe(`Error: ${STORED}`)
  const [run] = await b.database.query.selectFrom('attempts').selectAll().execute()
  expect(run).toMatchObject({ outcome: 'retry', error: expect.stringContaining(`Error: ${STORED}`) })
})

test('a body is stored byte for byte, whatever is in it', async () => {
  const app = await startReceiver()
  const body = JSON.stringify({
    id: 'evt_nasty',
    type: 'application.approved',
    occurred_at: '2026-05-09T14:22:31Z',
    event_id: 'evt_1',
    organization_id: 'org_1',
    data: { name: NASTY, raw: '\u0001\u007f' },
  })
  expect((await app.send({ body })).status).toBe(200)
  const [row] = await app.rows()
  expect(Buffer.from(row?.body ?? []).toString()).toBe(body)
  await app.close()
})

test('JSON without such texts is not written anew', () => {
  expect(storableJson({ a: 'b', c: ['\ud83c\udfb2', 1, null] })).toBe('{"a":"b","c":["🎲",1,null]}')
  expect(JSON.parse(storableJson({ a: NASTY, b: [NASTY] }))).toEqual({ a: STORED, b: [STORED] })
})
