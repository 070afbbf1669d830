import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { type Kysely, sql } from 'kysely'
import { expect, inject, onTestFinished, test } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import type { Queries } from '../../src/storage/database.ts'
import { moveInbox } from '../../src/storage/migrations/060-outcomes.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { type TestDatabase, testDatabase } from '../helpers/database.ts'
import { insertDelivery } from '../helpers/deliveries.ts'
import { takeBack } from '../helpers/older-schema.ts'

const onSqlite = inject('store') === 'sqlite'
const STATES = ['pending', 'running', 'done', 'parked', 'dead', 'duplicate', 'ignored'] as const

/** A database as the version before leaves it, with as many deliveries. */
async function before(rows: number = STATES.length): Promise<TestDatabase> {
  const database = await testDatabase()
  await takeBack(database.query, '058')
  const numbers = onSqlite
    ? sql`(with recursive r(n) as (select 1 union all select n + 1 from r where n < ${rows}) select n from r) as r`
    : sql`generate_series(1, cast(${rows} as int)) as r(n)`
  const body = onSqlite
    ? sql`cast('{"n":' || n || '}' as blob)`
    : sql`convert_to('{"n":' || n || '}', 'UTF8')`
  await sql`insert into inbox (provider, platform, delivery_id, envelope_id, type, event_id, organization_id, state,
      attempts, crashes, next_at, lease_owner, received_at, finished_at, last_error, duplicate_of, body)
    select 'revento', 'sandbox', 'd' || n, 'e' || n, 't', 'evt_1', 'org_1', ${sql.raw(
      `case n % 7 ${STATES.map((state, n) => `when ${n} then '${state}'`).join(' ')} end`,
    )}, n, 1, 5, 'me', 6, 7, 'Error: no', 8, ${body} from ${numbers}`.execute(database.query)
  return database
}

const reopen = async ({ store }: TestDatabase) => {
  const { query, close } = await openDatabase(store, systemRuntime)
  onTestFinished(() => close())
  return query
}

test('every column of every delivery is found again, and no number is given twice', async () => {
  const old = await before()
  const rows = (query: Queries) => query.selectFrom('inbox').selectAll().orderBy('id').execute()
  const stored = (await rows(old.query)).map(row => ({
    ...row,
    body: Buffer.from(row.body ?? []).toString(),
  }))
  expect(stored.map(row => row.state)).toEqual([...STATES.slice(1), STATES[0]])
  // The newest is gone.
  await sql`delete from inbox where id = 7`.execute(old.query)
  const query = await reopen(old)
  const found = (await rows(query)).map(row => ({ ...row, body: Buffer.from(row.body ?? []).toString() }))
  expect(found).toEqual(stored.slice(0, 6).map(row => ({ ...row, trace_id: null, headers: null })))
  expect(await insertDelivery(query)).toBe(8)
})

test('a process of the version before that still runs is refused with an error that it answers with 503', async () => {
  const { query } = await testDatabase()
  const insert = sql`insert into inbox
    (provider, delivery_id, envelope_id, type, event_id, organization_id, state, attempts, next_at, received_at, body,
    platform) values ('revento', null, 'e', 't', null, null, 'pending', 0, 0, 1, null, 'real')`
  await expect(insert.execute(query)).rejects.toMatchObject({ name: 'StorageError' })
  expect(await query.selectFrom('deliveries').select('id').execute()).toEqual([])
})

test.runIf(onSqlite)('a move that is cut short goes on where it was', async () => {
  const old = await before(25_000)
  const { query } = old
  await cutShort(query)
  expect(await count(query, 'deliveries')).toBe(10_000)
  const again = await reopen(old)
  expect([await count(again, 'deliveries'), await count(again, 'outcomes')]).toEqual([25_000, 25_000])
  const { rows } = await sql`select name from sqlite_schema where name = 'inbox_before'`.execute(again)
  expect(rows).toEqual([])
})

/** Runs the migration, and the move up to the end of its first batch. */
async function cutShort(query: Queries): Promise<void> {
  const { outcomes } = await import('../../src/storage/migrations/060-outcomes.ts')
  await query.transaction().execute(trx => outcomes.up(trx as unknown as Kysely<unknown>))
  await sql`insert into kysely_migration (name, timestamp) values ('060-outcomes', '')`.execute(query)
  const stopped = moveInbox(query, () => {
    throw new Error('killed')
  })
  await expect(stopped).rejects.toThrow('killed')
}

const count = async (query: Queries, table: 'deliveries' | 'outcomes') =>
  (await query.selectFrom(table).select('id').execute()).length

test.runIf(onSqlite)(
  'where the disk is too small nothing is begun, and it is said how much is needed',
  async () => {
    const old = await before()
    const { statfsSync } = fs
    onTestFinished(() => {
      fs.statfsSync = statfsSync
      syncBuiltinESMExports()
    })
    fs.statfsSync = (() => ({ bavail: 1, bsize: 4096 })) as never
    syncBuiltinESMExports()
    await expect(openDatabase(old.store, systemRuntime)).rejects.toMatchObject({
      name: 'UnusableDatabaseError',
      message: expect.stringMatching(/for 7 deliveries need 129 MiB .* 0 MiB are free/),
    })
    expect(await old.query.selectFrom('inbox').select('id').execute()).toHaveLength(7)
  },
)
