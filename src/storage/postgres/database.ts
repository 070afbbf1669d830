import { Kysely } from 'kysely'
import type { Runtime } from '../../process/runtime.ts'
import { type PostgresDatabase, type PostgresStore, probe, type Queries } from '../database.ts'
import { isMigrated, migrate } from '../migrate.ts'
import type { OwnMigrations } from '../own-migrations.ts'
import type { Schema } from '../schema.ts'
import { PgDialect } from './dialect.ts'
import { type PoolOptions, PostgresPool } from './postgres.ts'

export async function openPostgres(
  { url, connections }: PostgresStore,
  runtime: Runtime,
  own?: OwnMigrations,
): Promise<PostgresDatabase> {
  const query = queriesOf(url, runtime, { connections })
  try {
    if (!(await isMigrated(query, own))) await migratePatiently(url, runtime, own)
  } catch (error) {
    await query.destroy()
    throw error
  }
  return {
    kind: 'postgres',
    query,
    probe: () => probe(query, runtime),
    close: () => query.destroy(),
  }
}

/** Migrates without a time limit: another instance may be migrating, however long that takes. */
function migratePatiently(url: string, runtime: Runtime, own?: OwnMigrations): Promise<void> {
  const query = patientPostgres(url, runtime)
  return migrate(query, own).finally(() => query.destroy())
}

export const readPostgres = (url: string, runtime: Runtime): Queries => queriesOf(url, runtime)

/** Queries without time limits, for large copies and changes. Destroy it after use. */
export const patientPostgres = (url: string, runtime: Runtime): Queries =>
  queriesOf(url, runtime, { patient: true })

const queriesOf = (url: string, runtime: Runtime, options?: PoolOptions): Queries =>
  new Kysely<Schema>({ dialect: new PgDialect(new PostgresPool(url, runtime, options)) })
