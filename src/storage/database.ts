import { statSync } from 'node:fs'
import { Kysely, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import type { Runtime } from '../runtime.ts'
import { start } from './migrations/001-start.ts'
import { refreshLease } from './migrations/002-refresh-lease.ts'
import { sealingKeys } from './migrations/003-sealing-keys.ts'
import { erasedEvents } from './migrations/004-erased-events.ts'
import { platform } from './migrations/005-platform.ts'
import { sessionSuccessor } from './migrations/006-session-successor.ts'
import { attempts } from './migrations/007-attempts.ts'
import { senders } from './migrations/008-senders.ts'
import { stuckDeliveries } from './migrations/009-stuck-deliveries.ts'
import type { Schema } from './schema.ts'
import { SqliteFile } from './sqlite.ts'
import { NodeSqliteDialect } from './sqlite-dialect.ts'
import { StorageError } from './storage-error.ts'

export type Queries = Kysely<Schema>

export interface Database {
  readonly query: Queries
  /** Runs `work` with the file to itself, all or nothing; for the one place that is too hot for a query builder. */
  exclusively<T>(work: (file: SqliteFile) => T): Promise<T>
  /** Proves that a commit works now; rejects with a StorageError that names the trouble. */
  probe(): Promise<void>
  close(): Promise<void>
}

const MIGRATIONS = {
  '001-start': start,
  '002-refresh-lease': refreshLease,
  '003-sealing-keys': sealingKeys,
  '004-erased-events': erasedEvents,
  '005-platform': platform,
  '006-session-successor': sessionSuccessor,
  '007-attempts': attempts,
  '008-senders': senders,
  '009-stuck-deliveries': stuckDeliveries,
}

/** Opens, creates where needed, and brings the schema up to date. `path` is a file. */
export async function openDatabase(path: string, runtime: Runtime): Promise<Database> {
  const file = new SqliteFile(path, runtime)
  const query = new Kysely<Schema>({ dialect: new NodeSqliteDialect(file) })
  try {
    await migrate(query)
  } catch (error) {
    await query.destroy()
    throw error
  }
  return {
    query,
    exclusively: work => query.connection().execute(() => file.atomically(() => work(file))),
    probe: async () => {
      const row = { id: 1, checked_at: runtime.now() }
      await query
        .insertInto('health')
        .values(row)
        .onConflict(c => c.column('id').doUpdateSet(row))
        .execute()
    },
    close: () => query.destroy(),
  }
}

/** To look before anything is written: `undefined` when there is no database yet. Destroy it after use. */
export function readDatabase(path: string, runtime: Runtime): Queries | undefined {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat?.isFile() || stat.size === 0) return undefined
  const file = new SqliteFile(path, runtime, { readOnly: true })
  return new Kysely<Schema>({ dialect: new NodeSqliteDialect(file) })
}

async function migrate(query: Queries): Promise<void> {
  const migrator = new Migrator({ db: query, provider: { getMigrations: async () => MIGRATIONS } })
  const { error } = await migrator.migrateToLatest()
  if (error instanceof StorageError) throw error
  if (error && (await hasUnknown(query)))
    throw new StorageError('database_of_newer_version', { cause: error })
  if (error) throw new StorageError('migration_failed', { cause: error })
}

/** Whether a later version of the app has changed the schema. */
async function hasUnknown(query: Queries): Promise<boolean> {
  const { rows } = await sql<{ name: string }>`select name from kysely_migration`.execute(query)
  return rows.some(({ name }) => !Object.hasOwn(MIGRATIONS, name))
}
