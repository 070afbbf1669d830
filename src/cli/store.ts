import { existsSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { systemRuntime as runtime } from '../process/runtime.ts'
import { storageAdvice } from '../storage/advice.ts'
import { type Database, type Queries, type SqliteStore, type Store, storeName } from '../storage/database.ts'
import { openDatabase, readDatabase } from '../storage/open.ts'
import { Unusable, Usage } from './command.ts'

/** Runs `work`; where the store is what fails, the error says in words why and what to type. */
export async function onStore<T>(store: Store, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    const advice = storageAdvice(error, store)
    throw advice === undefined ? error : new Unusable(advice, { cause: error })
  }
}

/** Runs `work` on a reader of the store. Undefined where there is no store yet. */
export async function reading<T>(store: Store, work: (query: Queries) => Promise<T>): Promise<T | undefined> {
  const query = await readDatabase(store, runtime)
  try {
    return query && (await work(query))
  } finally {
    await query?.destroy()
  }
}

/** Runs `work` on a reader of the store, which has to be there. */
export async function readStore<T>(store: Store, work: (query: Queries) => Promise<T>): Promise<T> {
  const result = await reading(store, async query => ({ value: await work(query) }))
  if (!result) throw new Usage(`There is no ${storeName(store)}: check DATABASE_URL.`)
  return result.value
}

/** Runs `work` on the opened store, brought to the schema of this version first. */
export async function writing<T>(store: Store, work: (query: Database['query']) => Promise<T>): Promise<T> {
  refuseMissing(store)
  const database = await openDatabase(store, runtime)
  try {
    return await work(database.query)
  } finally {
    await database.close()
  }
}

/** The SQLite file of DATABASE_URL. `otherwise` says what to do with a PostgreSQL. */
export function sqliteFile(store: Store, otherwise: string): SqliteStore {
  if (store.kind !== 'sqlite') throw new Usage(`DATABASE_URL is a PostgreSQL: ${otherwise}.`)
  refuseMissing(store)
  return store
}

/** Opening a file that is not there would make one: a mistyped DATABASE_URL would look like an empty app. */
function refuseMissing(store: Store): void {
  if (store.kind === 'sqlite' && !existsSync(store.path))
    throw new Usage(`There is no ${store.path}: check DATABASE_URL.`)
}

/** Opens a file of this app; another program's database is refused. */
export function openOurs(path: string, readOnly: boolean): DatabaseSync {
  const database = new DatabaseSync(path, { readOnly, timeout: 8_000 })
  try {
    // Opening alone reads nothing.
    const tables = database.prepare('select name from sqlite_schema').all()
    if (tables.some(({ name }) => name === 'inbox')) return database
    throw new Usage(`${path} is no database of this app: check DATABASE_URL.`)
  } catch (error) {
    database.close()
    throw error
  }
}
