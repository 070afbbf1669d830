import { realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import type { Kysely } from 'kysely'
import type { Runtime } from '../process/runtime.ts'
import type { Schema } from './schema.ts'
import type { SqliteFile } from './sqlite/sqlite.ts'

/** Where everything is kept. The URL of a server holds a password: print `storeName` instead. */
export type Store = SqliteStore | PostgresStore

export interface SqliteStore {
  readonly kind: 'sqlite'
  /** Absolute, and without symbolic links. */
  readonly path: string
  /** As DATABASE_URL names it, where that leads through symbolic links. */
  readonly link?: string
}

export interface PostgresStore {
  readonly kind: 'postgres'
  readonly url: string
}

/**
 * SQLite keeps its log beside the file that a link leads to. What guards the file, the key file and the other files
 * beside it have to look there too, so the links are followed once, here.
 */
export function sqliteStore(name: string): SqliteStore {
  const link = resolve(name)
  const path = followed(link)
  return Object.freeze({ kind: 'sqlite', path, ...(path === link ? {} : { link }) })
}

/** The part of the path that is not there yet, or that is a link to nothing, stays as it is. */
function followed(path: string): string {
  try {
    return realpathSync(path)
  } catch (error) {
    if (dirname(path) === path) throw error
    return join(followed(dirname(path)), basename(path))
  }
}

/** For people: which database it is, without who may enter. */
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
  /** Runs `work` with the file to itself, all or nothing; for the one place that is too hot for a query builder. */
  exclusively<T>(work: (file: SqliteFile) => T): Promise<T>
}

export interface PostgresDatabase extends Opened {
  readonly kind: 'postgres'
}

/** One set of queries for both. What differs: storage/sql, the migrations' types, and webhooks/append. */
export type Database = SqliteDatabase | PostgresDatabase

/** A commit of its own, to the one row that is there for it. */
export async function probe(query: Queries, runtime: Pick<Runtime, 'now'>): Promise<void> {
  const row = { id: 1, checked_at: runtime.now() }
  await query
    .insertInto('health')
    .values(row)
    .onConflict(c => c.column('id').doUpdateSet(row))
    .execute()
}
