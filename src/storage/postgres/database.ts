import { Kysely } from 'kysely'
import type { Runtime } from '../../process/runtime.ts'
import { type PostgresDatabase, probe, type Queries } from '../database.ts'
import { migrate } from '../migrate.ts'
import type { OwnMigrations } from '../own-migrations.ts'
import type { Schema } from '../schema.ts'
import { PgDialect } from './dialect.ts'
import { PostgresPool } from './postgres.ts'

export async function openPostgres(
  url: string,
  runtime: Runtime,
  own?: OwnMigrations,
): Promise<PostgresDatabase> {
  // Another instance may be migrating, which is waited for however long it takes.
  const migrating = patientPostgres(url, runtime)
  await migrate(migrating, own).finally(() => migrating.destroy())
  const query = queriesOf(url, runtime)
  return {
    kind: 'postgres',
    query,
    probe: () => probe(query, runtime),
    close: () => query.destroy(),
  }
}

export const readPostgres = (url: string, runtime: Runtime): Queries => queriesOf(url, runtime)

/** Queries without time limits, for large copies and changes. Destroy it after use. */
export const patientPostgres = (url: string, runtime: Runtime): Queries =>
  queriesOf(url, runtime, { patient: true })

const queriesOf = (url: string, runtime: Runtime, options?: { patient: boolean }): Queries =>
  new Kysely<Schema>({ dialect: new PgDialect(new PostgresPool(url, runtime, options)) })
