import type { Runtime } from '../process/runtime.ts'
import type { Database, Queries, Store } from './database.ts'
import type { OwnMigrations } from './own-migrations.ts'
import { openSqlite, readSqlite } from './sqlite/database.ts'

/** Opens, creates where needed, and brings the schema up to date. `own`: the builder's migrations, where a test has others. */
export const openDatabase = async (store: Store, runtime: Runtime, own?: OwnMigrations): Promise<Database> =>
  store.kind === 'sqlite'
    ? openSqlite(store.path, runtime, { link: store.link, own })
    : (await postgres()).openPostgres(store.url, runtime, own)

/** To look before anything is written: `undefined` when there is no database yet. Destroy it after use. */
export const readDatabase = async (store: Store, runtime: Runtime): Promise<Queries | undefined> =>
  store.kind === 'sqlite'
    ? readSqlite(store.path, runtime)
    : (await postgres()).readPostgres(store.url, runtime)

/** Its driver takes 25 ms and 12 MB: only where it is used. */
const postgres = () => import('./postgres/database.ts')
