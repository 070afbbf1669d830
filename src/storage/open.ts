import type { Runtime } from '../process/runtime.ts'
import type { Database, Queries } from './database.ts'
import { openSqlite, readSqlite } from './sqlite/database.ts'
import type { Store } from './store.ts'

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
