import type { Kysely } from 'kysely'
import type { Schema } from './schema.ts'
import type { SqliteFile } from './sqlite/sqlite.ts'

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
