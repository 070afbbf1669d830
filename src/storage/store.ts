/** Where everything is kept. The URL of a server holds a password: print `storeName` instead. */
export type Store = SqliteStore | PostgresStore

export interface SqliteStore {
  readonly kind: 'sqlite'
  /** Absolute. */
  readonly path: string
}

export interface PostgresStore {
  readonly kind: 'postgres'
  readonly url: string
}

/** For people: which database it is, without who may enter. */
export function storeName(store: Store): string {
  if (store.kind === 'sqlite') return store.path
  const { host, pathname } = new URL(store.url)
  return `postgres://${host}${pathname}`
}
