import type { Runtime } from '../process/runtime.ts'
import type { Database, Queries, Store } from './database.ts'
import type { OwnMigrations } from './own-migrations.ts'
import { openSqlite, readSqlite } from './sqlite/database.ts'

/** Opens or makes the database, and brings its schema up to date. Tests pass other migrations of a builder as `own`. */
export const openDatabase = async (store: Store, runtime: Runtime, own?: OwnMigrations): Promise<Database> =>
  store.kind === 'sqlite'
    ? openSqlite(store.path, runtime, { link: store.link, own })
    : (await postgres()).openPostgres(store, runtime, own)

/** Opens the database for reading; undefined when there is none yet. Destroy it after use. */
export const readDatabase = async (store: Store, runtime: Runtime): Promise<Queries | undefined> =>
  store.kind === 'sqlite'
    ? readSqlite(store.path, runtime)
    : (await postgres()).readPostgres(store.url, runtime)

/** Loaded only where it is used: the driver takes 25 ms and 12 MB. */
const postgres = () => import('./postgres/database.ts')
