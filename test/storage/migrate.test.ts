import { type Kysely, sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { openSealed } from '../../src/keys/open-sealed.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import type { Queries } from '../../src/storage/database.ts'
import { SCHEMA_VERSION, tablesOf } from '../../src/storage/migrate.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { bareStore, testDatabase } from '../helpers/database.ts'
import { settings } from '../helpers/sealed.ts'

async function noteMigration(query: Queries, name: string): Promise<void> {
  const migrations = query as unknown as Kysely<{ kysely_migration: { name: string; timestamp: string } }>
  const row = { name, timestamp: '2030-01-01T00:00:00.000Z' }
  await migrations.insertInto('kysely_migration').values(row).execute()
  onTestFinished(
    async () => void (await migrations.deleteFrom('kysely_migration').where('name', '=', name).execute()),
  )
}

test('a schema newer than the program is refused, with both versions, and nothing is written', async () => {
  const { query, store } = await testDatabase()
  await noteMigration(query, '999-from-the-future')
  const before = await query.selectFrom('sealing_keys').selectAll().execute()
  const message = `has schema 999-from-the-future, and this version of the program knows up to ${SCHEMA_VERSION}.`
  for (const open of [() => openDatabase(store, runtime), () => openSealed(settings(store, 1), runtime)])
    await expect(open()).rejects.toMatchObject({
      name: 'NewerSchemaError',
      message: expect.stringContaining(message),
    })
  expect(await query.selectFrom('sealing_keys').selectAll().execute()).toEqual(before)
})

test('an unknown migration that ran before the last one is refused too', async () => {
  const { query, store } = await testDatabase()
  await noteMigration(query, '000-of-another-branch')
  await expect(openDatabase(store, runtime)).rejects.toMatchObject({ name: 'NewerSchemaError' })
})

test('eight starts at once on an empty database migrate it once', async () => {
  const { store, drop } = await bareStore()
  onTestFinished(drop)
  const opened = await Promise.all(Array.from({ length: 8 }, () => openDatabase(store, runtime)))
  const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(
    opened[0]?.query as Queries,
  )
  expect(new Set(rows.map(row => row.name)).size).toBe(rows.length)
  expect(rows.map(row => row.name)).toContain(SCHEMA_VERSION)
  for (const database of opened) expect(await tablesOf(database.query)).toContain('inbox')
  await Promise.all(opened.map(database => database.close()))
})
