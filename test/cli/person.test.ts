import { fileURLToPath } from 'node:url'
import { type Kysely, sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { erasePerson, exportPerson, ownRowsOf } from '../../src/builder/person.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import type { Queries } from '../../src/storage/database.ts'
import { createEventData } from '../../src/storage/event-data.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { newStoreOfOurs, testDatabase } from '../helpers/database.ts'
import { storeDelivery } from '../helpers/erase.ts'
import { typed } from '../helpers/typed.ts'

const CLI = fileURLToPath(new URL('../../src/cli/operate/person.ts', import.meta.url))
const ADA = { platform: 'real', eventId: 'evt_1', participantId: 'ptp_1' } as const
const GRACE = { ...ADA, participantId: 'ptp_11' }

/** Two people of one event, and each of them once more in another. */
async function fill(query: Queries): Promise<void> {
  const data = createEventData(query, runtime, 'real')
  for (const eventId of ['evt_1', 'evt_2'])
    for (const participantId of ['ptp_1', 'ptp_11']) {
      const body = Buffer.from(JSON.stringify({ data: { participant_id: participantId } }))
      const id = await storeDelivery(query, { eventId }, { body, state: 'done' })
      await query
        .insertInto('effects')
        .values({ inbox_id: id, name: 'mail', attempt: 1, started_at: 1, ended_at: 1, result: '"mail_1"' })
        .execute()
      const about = { type: 'application.approved', occurredAt: '2026-05-09T14:00:00Z', name: 'Ada' }
      await data.saveParticipant({ id, eventId, organizationId: 'org_1' }, { participantId, ...about })
    }
}

const filled = async (query: Queries) => {
  const bodies = await query
    .selectFrom('inbox')
    .select('event_id')
    .where('body', 'is not', null)
    .orderBy('id')
    .execute()
  const people = await query
    .selectFrom('participants')
    .select(['event_id', 'participant_id'])
    .orderBy('event_id')
    .orderBy('participant_id')
    .execute()
  const effects = await query.selectFrom('effects').select('name').execute()
  return [bodies.map(row => row.event_id), people.map(row => Object.values(row).join(' ')), effects.length]
}

test('one person’s request is theirs alone: neither a longer id nor another event is touched', async () => {
  const { query } = await testDatabase()
  await fill(query)
  expect(await exportPerson(query, ADA)).toMatchObject({
    participants: [{ name: 'Ada', participant_id: 'ptp_1' }],
    deliveries: [
      { payload: { data: { participant_id: 'ptp_1' } }, effects: [{ name: 'mail', result: '"mail_1"' }] },
    ],
    own: {},
  })
  expect(await erasePerson(query, ADA, runtime)).toEqual({ participants: 1, deliveries: 1, signIns: 0 })
  expect(await filled(query)).toEqual([
    ['evt_1', 'evt_2', 'evt_2'],
    ['evt_1 ptp_11', 'evt_2 ptp_1', 'evt_2 ptp_11'],
    3,
  ])
  expect(await exportPerson(query, ADA)).toMatchObject({ participants: [], deliveries: [] })
})

test('the builder’s tables are found by the catalogue, by id and in JSON', async () => {
  const { store, drop } = await newStoreOfOurs()
  onTestFinished(drop)
  const up = async (db: Kysely<unknown>) => {
    await sql`create table app_seats (event_id text, holder text, row integer)`.execute(db)
    await sql`create table app_notes (text text)`.execute(db)
  }
  const { query, close } = await openDatabase(store, runtime, { '001-seats': { up } })
  onTestFinished(close)
  await sql`insert into app_seats values ('evt_1', 'ptp_1', 1), ('evt_2', 'ptp_1', 2), ('evt_1', 'ptp_11', 3)`.execute(
    query,
  )
  await sql`insert into app_notes values ('{"who":"ptp_1"}'), ('{"who":"ptp_11"}'), ('of ptp_1')`.execute(
    query,
  )
  const found = await ownRowsOf(query, ADA)
  expect(found.toSorted((a, b) => a.table.localeCompare(b.table))).toEqual([
    { table: 'app_notes', rows: [{ text: '{"who":"ptp_1"}' }] },
    { table: 'app_seats', rows: [{ event_id: 'evt_1', holder: 'ptp_1', row: 1 }] },
  ])
  expect(await ownRowsOf(query, GRACE)).toHaveLength(2)
})

test('the command exports and erases; what is typed wrong is told', async () => {
  const { query, url } = await testDatabase()
  await fill(query)
  const env = {
    DATABASE_URL: url,
    REVENTO_CLIENT_ID: 'a-client',
    REVENTO_CLIENT_SECRET: 'a-secret-of-client',
    REVENTO_WEBHOOK_SECRET: 'a-secret-of-webhooks',
  }
  const run = (...args: string[]) => typed(CLI, args, { env })
  const told = await run('evt_1', 'ptp_1', '--export')
  expect([told.code, JSON.parse(told.out)]).toMatchObject([0, { participants: [{ name: 'Ada' }] }])
  expect(await run('evt_1', 'ptp_1', '--erase')).toMatchObject({
    code: 0,
    out: expect.stringContaining(
      'Erased: their row, and the payload of 1 delivery.\nYour tables hold nothing',
    ),
  })
  expect((await filled(query))[1]).not.toContain('evt_1 ptp_1')
  for (const [args, says] of [
    [['evt_1'], 'Give the ids of an EVENT and a PARTICIPANT'],
    [['evt_1', 'ptp_1'], 'either --export or --erase'],
    [['evt_1', "ptp_1' or 1", '--erase'], 'letters, digits'],
  ] as const)
    expect(await run(...args)).toMatchObject({ code: 1, err: expect.stringContaining(says) })
})
