import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { type Kysely, sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import type { Queries } from '../../src/storage/database.ts'
import { moveInbox } from '../../src/storage/migrations/060-outcomes.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { before, reopen } from './before-outcomes.ts'

// The rows go over in batches on SQLite alone.

test('a move that is cut short goes on where it was', async () => {
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
  const now = new Date().toISOString()
  await sql`insert into kysely_migration (name, timestamp) values ('060-outcomes', ${now})`.execute(query)
  const stopped = moveInbox(query, () => {
    throw new Error('killed')
  })
  await expect(stopped).rejects.toThrow('killed')
}

const count = async (query: Queries, table: 'deliveries' | 'outcomes') =>
  (await query.selectFrom(table).select('id').execute()).length

test('where the disk is too small nothing is begun, and it is said how much is needed', async () => {
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
})
