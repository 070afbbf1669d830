import { realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Kysely } from 'kysely'
import type { Runtime } from '../process/runtime.ts'
import type { Schema } from './schema.ts'
import type { SqliteFile } from './sqlite/sqlite.ts'

/** Which database is used. The URL of a server has a password in it: print `storeName` instead. */
export type Store = SqliteStore | PostgresStore

export interface SqliteStore {
  readonly kind: 'sqlite'
  /** Absolute, and without symbolic links. */
  readonly path: string
  /** The path as DATABASE_URL has it, where that leads through symbolic links. */
  readonly link?: string
}

export interface PostgresStore {
  readonly kind: 'postgres'
  readonly url: string
  /** The most connections; ten where it is left out. */
  readonly connections?: number
}

/** Follows a file's links once, for all checks and the files beside it: SQLite keeps its log where the links lead. */
export function sqliteStore(name: string): SqliteStore {
  const link = resolve(name)
  const path = followed(link)
  return Object.freeze({ kind: 'sqlite', path, ...(path === link ? {} : { link }) })
}

/** Follows the links of a path. A part that does not exist yet, or is a link to nothing, stays as it is. */
function followed(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (dirname(path) === path) throw error
    return join(followed(dirname(path)), basename(path))
  }
}

/** The name of the database for people, without user and password. */
export function storeName(store: Store): string {
  if (store.kind === 'sqlite') return store.path
  const { host, pathname } = new URL(store.url)
  return `postgres://${host}${pathname}`
}

export type Queries = Kysely<Schema>

interface Opened {
  readonly query: Queries
  /** Proves that a commit works now; rejects with a StorageError that names the trouble. */
  probe(): Promise<void>
  close(): Promise<void>
}

export interface SqliteDatabase extends Opened {
  readonly kind: 'sqlite'
  /** Runs `work` in a transaction on the file; for the one place that is too hot for a query builder. */
  exclusively<T>(work: (file: SqliteFile) => T): Promise<T>
}

export interface PostgresDatabase extends Opened {
  readonly kind: 'postgres'
}

/** Both databases have the same queries, except in storage/sql, the types of migrations, and webhooks/inbox/append. */
export type Database = SqliteDatabase | PostgresDatabase

/** Commits to a row that exists for this test only. */
export async function probe(query: Queries, runtime: Pick<Runtime, 'now'>): Promise<void> {
  const row = { id: 1, checked_at: runtime.now() }
  await query
    .insertInto('health')
    .values(row)
    .onConflict(c => c.column('id').doUpdateSet(row))
    .execute()
}
