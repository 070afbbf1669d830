import { type Kysely, sql } from 'kysely'
import { beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { ownDb } from '../../src/builder/db.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import type { Queries } from '../../src/storage/database.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { newStoreOfOurs } from '../helpers/database.ts'
import { saveConnection } from '../webhooks/dispatch/dispatching.ts'

interface Tables {
  app_notes: { event_id: string; text: string }
  revento_participants: { event_id: string; name: string }
  revento_connections: { event_id: string; state: string }
  inbox: { id: number }
  connections: { state: string }
}

const notes = {
  up: (db: Kysely<unknown>) =>
    db.schema.createTable('app_notes').addColumn('event_id', 'text').addColumn('text', 'text').execute(),
}

let query: Queries
let stop: AbortController
let db: Kysely<Tables>
beforeAll(async () => {
  const { store, drop } = await newStoreOfOurs()
  const database = await openDatabase(store, runtime, { '001-notes': notes })
  query = database.query
  return () => database.close().then(drop)
})
beforeEach(async () => {
  for (const table of ['app_notes', 'connections']) await query.deleteFrom(table as 'connections').execute()
  stop = new AbortController()
  db = ownDb(query, stop.signal) as unknown as Kysely<Tables>
})

test('`db` reads and writes the builder’s tables, in transactions too', async () => {
  await db.transaction().execute(async trx => {
    await trx.insertInto('app_notes').values({ event_id: 'evt_1', text: 'a' }).execute()
    await trx.updateTable('app_notes as n').set({ text: 'b' }).where('n.event_id', '=', 'evt_1').execute()
  })
  const found = db
    .with('mine', q => q.selectFrom('app_notes').selectAll())
    .selectFrom('mine')
    .selectAll()
  expect(await found.execute()).toEqual([{ event_id: 'evt_1', text: 'b' }])
  expect((await sql`select text from app_notes`.execute(db)).rows).toEqual([{ text: 'b' }])
  await db.deleteFrom('app_notes').execute()
  expect(await found.execute()).toEqual([])
})

test('`db` reads of our tables what stays: no token, nothing sealed', async () => {
  await saveConnection({ query }, { eventId: 'evt_1', organizationId: 'org_1' })
  const joined = db
    .selectFrom('revento_connections as c')
    .leftJoin('app_notes as n', 'n.event_id', 'c.event_id')
  expect(await joined.select(['c.event_id', 'n.text']).execute()).toEqual([{ event_id: 'evt_1', text: null }])
  const [row] = await db.selectFrom('revento_connections').selectAll().execute()
  expect(Object.keys(row ?? {}).filter(name => /token|lease|refresh|version/.test(name))).toEqual([])
  expect(await db.selectFrom('revento_participants').selectAll().execute()).toEqual([])
})

describe('`db` refuses', () => {
  const refused: Record<string, () => Promise<unknown>> = {
    'a table of ours': () => db.selectFrom('inbox').select('id').execute(),
    'one under another name': () => db.selectFrom('connections as app_c').select('app_c.state').execute(),
    'one in a join': () =>
      db
        .selectFrom('app_notes')
        .innerJoin('inbox', j => j.onTrue())
        .select('id')
        .execute(),
    'one in a subquery': () =>
      db
        .selectFrom('app_notes')
        .where('event_id', 'in', eb => eb.selectFrom('connections').select('state'))
        .selectAll()
        .execute(),
    'one in a common table': () =>
      db
        .with('x', q => q.deleteFrom('inbox').returning('id'))
        .selectFrom('x')
        .selectAll()
        .execute(),
    'writing to one': () => db.updateTable('connections').set({ state: 'connected' }).execute(),
    'removing from one': () => db.deleteFrom('inbox').execute(),
    'one in text': () => sql`select * from connections`.execute(db),
    'one in text, quoted': () => sql`delete from "inbox"`.execute(db),
    'one in text by its schema': () => sql`update public.connections set state = 'connected'`.execute(db),
    'one as a part of text': () => sql`select * from ${sql.table('inbox')}`.execute(db),
    'another schema’s': () => db.withSchema('other').selectFrom('inbox').select('id').execute(),
    'writing to a view': () => db.deleteFrom('revento_participants').execute(),
    'making a table': () => db.schema.createTable('app_more').addColumn('id', 'text').execute(),
    'changing one in text': () => sql`drop table app_notes`.execute(db),
  }
  test.each(Object.keys(refused))('`db` refuses %s', async name => {
    await expect(refused[name]?.()).rejects.toMatchObject({ name: 'HandlerMistake' })
  })

  test.each<[string, (trx: Kysely<Tables>) => Promise<unknown>]>([
    ['db', () => db.selectFrom('app_notes').selectAll().execute()],
    ['another transaction', () => db.transaction().execute(async () => {})],
  ])(
    '`db` refuses %s inside a transaction, which would wait for it for ever; nothing of it is kept',
    async (_what, inside) => {
      const mistaken = db.transaction().execute(async trx => {
        await trx.insertInto('app_notes').values({ event_id: 'e', text: 't' }).execute()
        await inside(trx)
      })
      await expect(mistaken).rejects.toMatchObject({ name: 'HandlerMistake' })
      expect(await db.selectFrom('app_notes').selectAll().execute()).toEqual([])
    },
  )

  test('`db` refuses a table of ours inside a transaction, and a transaction that has no end', async () => {
    const ours = db.transaction().execute(trx => trx.deleteFrom('inbox').execute())
    await expect(ours).rejects.toMatchObject({ name: 'HandlerMistake' })
    const begun = Promise.withResolvers<void>()
    const endless = db.transaction().execute(async trx => {
      await trx.insertInto('app_notes').values({ event_id: 'e', text: 't' }).execute()
      begun.resolve()
      await new Promise(() => {})
    })
    endless.catch(() => {})
    await begun.promise
    stop.abort(new Error('the run is over'))
    await expect(endless).rejects.toThrow('the run is over')
    expect(
      await query
        .selectFrom('app_notes' as never)
        .selectAll()
        .execute(),
    ).toEqual([])
  })

  test('`db` refuses a transaction whose run had ended before it could begin', async () => {
    stop.abort(new Error('the run is over'))
    const endless = db.transaction().execute(() => new Promise(() => {}))
    await expect(endless).rejects.toThrow('the run is over')
    expect(await query.selectFrom('erasures').selectAll().execute()).toEqual([])
  })

  test.each(['destroy', 'connection', 'startTransaction'] as const)(
    '`db` refuses %s: the app has only one database',
    name => {
      expect(() => db[name]()).toThrow('db is opened and closed by the app')
    },
  )

  test('`db` refuses everything, once its run has been told to stop', async () => {
    stop.abort(new Error('erased'))
    await expect(db.insertInto('app_notes').values({ event_id: 'e', text: 't' }).execute()).rejects.toThrow(
      'erased',
    )
    expect(
      await query
        .selectFrom('app_notes' as never)
        .selectAll()
        .execute(),
    ).toEqual([])
  })
})
