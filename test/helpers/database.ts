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
    /** Which database this run of the suite is on; see vitest.config.ts. */
    store: Store['kind']
    /** A database of the server; two to copy, migrated by all and by ours alone; how a test's own has to begin. */
    postgres: { url: string; template: string; ours: string; prefix: string }
  }
}

export interface NewStore {
  readonly store: Store
  /** As DATABASE_URL. */
  readonly url: string
  drop(): Promise<void>
}

/** Databases that are empty again: making one takes longer than most tests. */
const emptied: NewStore[] = []
/** Those of one test file alone: somebody had not left and may write again, or a test has changed the tables. */
const emptiedIn = new Map<string | undefined, NewStore[]>()

function emptiedHere(): NewStore[] {
  const { testPath } = expect.getState()
  const known = emptiedIn.get(testPath) ?? []
  emptiedIn.set(testPath, known)
  return known
}

/** Migrated already, and without a row. */
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

/** The same without the builder's own migrations, for a test that brings others. */
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

/** For tests to copy: to make one takes longer than most of them. */
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

/** Of its own in any case. `template`: which database it is a copy of. */
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
 * Ends who is still connected (a test kills processes), and removes the rows. The first result has a row for each that was
 * connected, the last one how many columns there have been.
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
  // One connection for all of its tests: each new one costs the server as much as a small test.
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

/** The same without the schema. */
export const bareStore = () => (inject('store') === 'postgres' ? newPostgres() : newFile())

/** A store that is gone after the test. */
export async function testStore(): Promise<NewStore> {
  const made = await newStore()
  onTestFinished(() => made.drop())
  return made
}

export type TestDatabase = Database & Pick<NewStore, 'store' | 'url'>

/** A real, migrated database of this test's own, closed and removed after it. */
export async function testDatabase(runtime: Runtime = systemRuntime): Promise<TestDatabase> {
  const { store, url } = await testStore()
  const database = await openDatabase(store, runtime)
  onTestFinished(() => database.close())
  return { ...database, store, url }
}

export interface TestFile extends SqliteDatabase {
  readonly path: string
}

/** The same for what only SQLite does. */
export async function testFile(runtime: Runtime = systemRuntime): Promise<TestFile> {
  const { store, drop } = await migratedCopy()
  const { path } = store
  onTestFinished(drop)
  const database = await openSqlite(path, runtime)
  onTestFinished(() => database.close())
  return { ...database, path }
}

/** For a test of what only SQLite does, in a suite that runs on it alone. */
export function onFile<T>(database: Database, work: (file: SqliteFile) => T): Promise<T> {
  if (database.kind !== 'sqlite') throw new Error('this test is for SQLite')
  return database.exclusively(work)
}

/** Where a SQLite database is. */
export function pathOf(store: Store): string {
  if (store.kind !== 'sqlite') throw new Error('this test is for SQLite')
  return store.path
}

export interface HeldWrites {
  /** Those who wait give up at once, as after four seconds. On SQLite the clock of the test has to pass eight. */
  giveUp(): Promise<unknown>
  release(): Promise<void>
}

/** Until it is released, nobody else writes to this store; they wait and then give up. */
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
