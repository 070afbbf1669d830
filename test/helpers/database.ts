import { copyFileSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { expect, inject, onTestFinished } from 'vitest'
import { type Runtime, systemRuntime } from '../../src/process/runtime.ts'
import type { Database, SqliteDatabase, Store } from '../../src/storage/database.ts'
import { openDatabase } from '../../src/storage/open.ts'
import type { OwnMigrations } from '../../src/storage/own-migrations.ts'
import { openSqlite } from '../../src/storage/sqlite/database.ts'
import type { SqliteFile } from '../../src/storage/sqlite/sqlite.ts'
import { makeFolder } from './folder.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** The kind of database on which this run of the suite is; see vitest.config.ts. */
    store: Store['kind']
    /** A database of the server; two to copy, one with all migrations and one with ours only; the prefix of a test's own. */
    postgres: { url: string; template: string; ours: string; prefix: string }
  }
}

export interface NewStore {
  readonly store: Store
  /** The value for DATABASE_URL. */
  readonly url: string
  drop(): Promise<void>
}

/** Databases that are empty again and used once more, because making one takes longer than most tests. */
const emptied: NewStore[] = []
/** Databases for the same test file only: a client had not left and may write again, or a test has changed the tables. */
const emptiedIn = new Map<string | undefined, NewStore[]>()

function emptiedHere(): NewStore[] {
  const { testPath } = expect.getState()
  const known = emptiedIn.get(testPath) ?? []
  emptiedIn.set(testPath, known)
  return known
}

/** Makes a migrated store without rows. */
export async function newStore(): Promise<NewStore> {
  if (inject('store') === 'postgres')
    return emptiedHere().pop() ?? emptied.pop() ?? reusable(await newPostgres(inject('postgres').template))
  return migratedCopy()
}

async function migratedCopy(of = migrated) {
  const made = newFile()
  mkdirSync(dirname(made.store.path))
  copyFileSync(await of(), made.store.path)
  return made
}

/** Makes a store without the builder's migrations, for a test that brings others. */
export const newStoreOfOurs = (): Promise<NewStore> =>
  inject('store') === 'postgres' ? newPostgres(inject('postgres').ours) : migratedCopy(migratedByOurs)

function newFile() {
  const folder = makeFolder({ inMemory: true })
  const path = join(folder.path, 'data', 'test.db')
  return {
    store: { kind: 'sqlite', path },
    url: `sqlite:${path}`,
    drop: async () => folder.remove(),
  } as const
}

/** Makes a migrated file once, and then copies it, because making one takes longer than most tests. */
function migratedFile(own?: OwnMigrations): () => Promise<string> {
  const make = async () => {
    const { store, drop } = newFile()
    process.once('exit', () => void drop())
    await (await openDatabase(store, systemRuntime, own)).close()
    return store.path
  }
  let made: Promise<string> | undefined
  return () => {
    made ??= make()
    return made
  }
}
const migrated = migratedFile()
const migratedByOurs = migratedFile({})

/** Makes a new database, a copy of `template`, which no other test has used. */
export async function newPostgres(template = 'template1'): Promise<NewStore> {
  const { prefix } = inject('postgres')
  const name = `${prefix}${crypto.randomUUID().replaceAll('-', '')}`
  await onServer(`create database ${name} template ${template}`)
  const url = new URL(inject('postgres').url)
  url.pathname = name
  return {
    store: { kind: 'postgres', url: url.href },
    url: url.href,
    drop: () => onServer(`drop database ${name} with (force)`),
  }
}

/**
 * Ends the connections that are left, since tests kill processes, and removes the rows. The first result has a row for each
 * such connection, the last one the number of columns that there have been.
 */
const EMPTY = `select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid();
  do $$ declare t record; begin
    for t in select relname as name from pg_class where relnamespace = 'public'::regnamespace
        and relkind = 'r' and relname !~ '^kysely' and pg_relation_size(oid) > 0 loop
      execute 'delete from ' || t.name;
    end loop;
  end $$;
  alter table if exists deliveries alter column id restart;
  select count(*) as columns from pg_attribute where attrelid >= 16384`

async function reusable(made: NewStore): Promise<NewStore> {
  // The tests of a database share one connection: each new one costs the server as much as a small test.
  const admin = connection(made.url)
  const empty = async () => {
    const results = (await admin.query(EMPTY)) as unknown as pg.QueryResult[]
    return { connected: results[0]?.rowCount, columns: results.at(-1)?.rows[0].columns }
  }
  const { columns } = await empty()
  const again = {
    ...made,
    async drop() {
      const found = await empty()
      const isClean = found.connected === 0 && found.columns === columns
      void (isClean ? emptied : emptiedHere()).push(again)
    },
  }
  return again
}

function connection(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 1, idleTimeoutMillis: 0, allowExitOnIdle: true })
  pool.on('error', () => {})
  return pool
}

/** Makes a store without a schema. */
export const bareStore = () => (inject('store') === 'postgres' ? newPostgres() : newFile())

/** Makes a store that is removed after the test. */
export async function testStore(): Promise<NewStore> {
  const made = await newStore()
  onTestFinished(() => made.drop())
  return made
}

export type TestDatabase = Database & Pick<NewStore, 'store' | 'url'>

/** Opens a migrated database of this test's own, which is closed and removed after it. */
export async function testDatabase(runtime: Runtime = systemRuntime): Promise<TestDatabase> {
  const { store, url } = await testStore()
  const database = await openDatabase(store, runtime)
  onTestFinished(() => database.close())
  return { ...database, store, url }
}

export interface TestFile extends SqliteDatabase {
  readonly path: string
}

/** Opens such a database on SQLite, whatever this run of the suite is on. */
export async function testFile(runtime: Runtime = systemRuntime): Promise<TestFile> {
  const { store, drop } = await migratedCopy()
  const { path } = store
  onTestFinished(drop)
  const database = await openSqlite(path, runtime)
  onTestFinished(() => database.close())
  return { ...database, path }
}

/** Runs `work` with the SQLite file of this database; throws on PostgreSQL. */
export function onFile<T>(database: Database, work: (file: SqliteFile) => T): Promise<T> {
  if (database.kind !== 'sqlite') throw new Error('this test is for SQLite')
  return database.exclusively(work)
}

/** Returns the path of a SQLite database; throws on PostgreSQL. */
export function pathOf(store: Store): string {
  if (store.kind !== 'sqlite') throw new Error('this test is for SQLite')
  return store.path
}

export interface HeldWrites {
  /** Makes the writers that wait give up at once, as after four seconds. On SQLite the test's clock has to pass eight. */
  giveUp(): Promise<unknown>
  release(): Promise<void>
}

/** Locks this store against writes until it is released; other writers wait and then give up. */
export async function holdWrites(store: Store): Promise<HeldWrites> {
  if (store.kind === 'sqlite') {
    const file = new DatabaseSync(store.path)
    file.exec('begin immediate')
    return { giveUp: async () => {}, release: async () => file.close() }
  }
  const client = new pg.Client(store.url)
  await client.connect()
  await client.query('begin; lock table inbox, connections, flows, health in exclusive mode')
  const waiting = `select pg_cancel_backend(pid) from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`
  return { giveUp: () => client.query(waiting), release: () => client.end() }
}

let server: pg.Pool | undefined

async function onServer(sql: string): Promise<void> {
  server ??= connection(inject('postgres').url)
  await server.query(sql)
}
