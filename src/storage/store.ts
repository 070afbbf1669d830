import { realpathSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'

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
