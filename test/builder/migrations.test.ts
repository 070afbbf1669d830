import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openSealed } from '../../src/keys/open-sealed.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { tablesOf } from '../../src/storage/migrate.ts'
import { openDatabase, readDatabase } from '../../src/storage/open.ts'
import { migrateOwn, type OwnMigrations } from '../../src/storage/own-migrations.ts'
import { bareStore, type NewStore, newStoreOfOurs } from '../helpers/database.ts'
import { takeBack } from '../helpers/older-schema.ts'
import { settings } from '../helpers/sealed.ts'

const makes = (name: string): Migration => ({
  up: (db: Kysely<unknown>) =>
    db.schema
      .createTable(name)
      .addColumn('id', 'text', c => c.primaryKey())
      .execute(),
})
const runs = (text: string): Migration => ({
  up: async (db: Kysely<unknown>) => void (await sql.raw(text).execute(db)),
})
const welcomes = { '001-welcomes': makes('app_welcomes') }

async function dropped({ store, drop }: NewStore) {
  onTestFinished(drop)
  return store
}
const emptyStore = async () => dropped(await bareStore())
const storeOfOurs = async () => dropped(await newStoreOfOurs())

async function open(own: OwnMigrations, given?: Awaited<ReturnType<typeof emptyStore>>) {
  const store = given ?? (await storeOfOurs())
  const database = await openDatabase(store, runtime, own)
  onTestFinished(() => database.close())
  return { store, query: database.query }
}

test('the builder’s migrations run beside ours, and each once', async () => {
  const { store, query } = await open(welcomes, await emptyStore())
  await query
    .insertInto('app_welcomes' as never)
    .values({ id: 'a' } as never)
    .execute()
  const again = await open({ ...welcomes, '002-badges': makes('app_badges') }, store)
  expect(await tablesOf(again.query)).toEqual(expect.arrayContaining(['inbox', 'app_welcomes', 'app_badges']))
  expect(
    await again.query
      .selectFrom('app_welcomes' as never)
      .selectAll()
      .execute(),
  ).toEqual([{ id: 'a' }])
})

test('six starts at once on an empty database run the builder’s migrations once', async () => {
  const store = await emptyStore()
  const opened = await Promise.all(Array.from({ length: 6 }, () => openDatabase(store, runtime, welcomes)))
  onTestFinished(async () => void (await Promise.all(opened.map(one => one.close()))))
  const [first] = opened
  const { rows } = await sql`select name from kysely_app_migration`.execute(first?.query as never)
  expect(rows).toEqual([{ name: '001-welcomes' }])
})

test('our migrations may come later than the builder’s: the two lists know nothing of each other', async () => {
  const { store, query } = await open({}, await emptyStore())
  await takeBack(query, '019')
  await migrateOwn(query, welcomes)
  const again = await open(welcomes, store)
  expect(await tablesOf(again.query)).toEqual(expect.arrayContaining(['effects', 'app_welcomes']))
})

describe('the start is refused, and nothing is written', () => {
  test('a database with a migration that the builder’s list lacks stops the start', async () => {
    const { store } = await open({ ...welcomes, '002-badges': makes('app_badges') })
    await expect(openDatabase(store, runtime, welcomes)).rejects.toThrow(
      `The database has your migration '002-badges', and src/integration/migrations/index.ts does not list it.`,
    )
    // The program itself lists none.
    await expect(openSealed(settings(store, 1), runtime)).rejects.toThrow(`your migration '001-welcomes'`)
  })

  test('a new migration that sorts before one that has run stops the start', async () => {
    const { store } = await open({ '002-badges': makes('app_badges') })
    await expect(
      openDatabase(store, runtime, { ...welcomes, '002-badges': makes('app_badges') }),
    ).rejects.toThrow(
      `src/integration/migrations/index.ts: '001-welcomes' sorts before '002-badges', which this database has already.`,
    )
  })

  test('a table of the builder’s that is gone stops the start', async () => {
    const { store, query } = await open(welcomes)
    await sql`drop table app_welcomes`.execute(query)
    await expect(openDatabase(store, runtime, welcomes)).rejects.toThrow(
      'The database has no table app_welcomes',
    )
  })

  test.each([
    ['a table without the prefix', makes('welcomes'), 'makes the table "welcomes"', 'call it app_welcomes'],
    [
      'a view without it',
      runs('create view people as select 1 as one'),
      'makes the view "people"',
      'app_people',
    ],
    ['a table named like one of ours', makes('inbox'), `It is this app's`, 'call it app_inbox'],
    [
      'an index of ours',
      runs('create index app_i on deliveries (type)'),
      'changes "deliveries", which is not yours',
      'own',
    ],
    [
      'a column of ours',
      runs('alter table deliveries add column note text'),
      'changes "deliveries"',
      'table of your own',
    ],
    [
      'a table of ours that is gone',
      runs('drop table inline_answers'),
      'changes "inline_answers"',
      'of your own',
    ],
    [
      'a reference to ours',
      runs('create table app_notes (flow text references flows (state_hash))'),
      '"app_notes" refer to "flows"',
      'without a foreign key',
    ],
    [
      'one that fails',
      runs('create table app_a (id nothing(); )'),
      `'001-x' failed: `,
      'mend it, and start again',
    ],
  ])('a wrong migration of the builder’s stops the start: %s', async (_what, migration, says, type) => {
    const store = await storeOfOurs()
    const refused = openDatabase(store, runtime, { '001-x': migration })
    await expect(refused).rejects.toMatchObject({
      name: 'BuilderMistake',
      message: expect.stringContaining(says),
    })
    await expect(refused).rejects.toThrow(type)
    const { query } = await open({}, store)
    const { rows } = await sql`select name from kysely_migration where name like '001%'`.execute(query)
    expect([rows.length, (await tablesOf(query)).filter(name => name.startsWith('app_'))]).toEqual([1, []])
  })

  test.each([
    [{ '002-b': makes('app_b'), '001-a': makes('app_a') }, `'001-a' comes after '002-b' and sorts before it`],
    [{ 'a b': makes('app_a') }, 'is named with letters, digits'],
    [{ '001-a': {} as Migration }, `'001-a' has no function up`],
  ])('a wrong list of migrations stops the start', async (own, says) => {
    await expect(openDatabase(await storeOfOurs(), runtime, own)).rejects.toThrow(says)
  })

  test('a refused migration of the builder’s leaves an empty database empty', async () => {
    const store = await emptyStore()
    await expect(openDatabase(store, runtime, { '001-x': makes('welcomes') })).rejects.toThrow('welcomes')
    const query = await readDatabase(store, runtime)
    if (query) onTestFinished(() => query.destroy())
    expect(query ? await tablesOf(query) : []).toEqual([])
  })
})

test('a migration that fails is named with its file and line', async () => {
  const failing = { up: async () => Promise.reject(new Error('no')) }
  const store = await storeOfOurs()
  await expect(openDatabase(store, runtime, { '001-x': failing })).rejects.toThrow(
    /^src\/integration\/migrations\/index\.ts: your migration '001-x' failed: no\./,
  )
})
