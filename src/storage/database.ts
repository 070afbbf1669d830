import type { Kysely } from 'kysely'
import type { Runtime } from '../process/runtime.ts'
import type { Schema } from './schema.ts'
import { openSqlite, readSqlite } from './sqlite/database.ts'
import type { SqliteFile } from './sqlite/sqlite.ts'
import type { Store } from './store.ts'

export type Queries = Kysely<Schema>

interface Opened {
  readonly query: Queries
  /** Proves that a commit works now; rejects with a StorageError that names the trouble. */
  probe(): Promise<void>
  close(): Promise<void>
}

export interface SqliteDatabase extends Opened {
  readonly kind: 'sqlite'
  /** Runs `work` with the file to itself, all or nothing; for the one place that is too hot for a query builder. */
  exclusively<T>(work: (file: SqliteFile) => T): Promise<T>
}

export interface PostgresDatabase extends Opened {
  readonly kind: 'postgres'
}

/** One set of queries for both. What differs: storage/dialect, the migrations' types, and webhooks/append. */
export type Database = SqliteDatabase | PostgresDatabase

/** Opens, creates where needed, and brings the schema up to date. */
export const openDatabase = async (store: Store, runtime: Runtime): Promise<Database> =>
  store.kind === 'sqlite'
    ? openSqlite(store.path, runtime, store.link)
    : (await postgres()).openPostgres(store.url, runtime)

/** To look before anything is written: `undefined` when there is no database yet. Destroy it after use. */
export const readDatabase = async (store: Store, runtime: Runtime): Promise<Queries | undefined> =>
  store.kind === 'sqlite'
    ? readSqlite(store.path, runtime)
    : (await postgres()).readPostgres(store.url, runtime)

/** Its driver takes 25 ms and 12 MB: only where it is used. */
const postgres = () => import('./postgres/database.ts')
