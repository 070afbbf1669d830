import { statSync } from 'node:fs'
import { Kysely } from 'kysely'
import type { Runtime } from '../runtime.ts'
import type { Queries, SqliteDatabase } from './database.ts'
import { migrate } from './migrate.ts'
import { probe } from './probe.ts'
import type { Schema } from './schema.ts'
import { SqliteFile } from './sqlite.ts'
import { NodeSqliteDialect } from './sqlite-dialect.ts'

export async function openSqlite(path: string, runtime: Runtime): Promise<SqliteDatabase> {
  const file = new SqliteFile(path, runtime)
  const query = new Kysely<Schema>({ dialect: new NodeSqliteDialect(file) })
  try {
    await migrate(query)
  } catch (error) {
    await query.destroy()
    throw error
  }
  return {
    kind: 'sqlite',
    query,
    exclusively: work => query.connection().execute(() => file.atomically(() => work(file))),
    probe: () => probe(query, runtime),
    close: () => query.destroy(),
  }
}

export function readSqlite(path: string, runtime: Runtime): Queries | undefined {
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat?.isFile() || stat.size === 0) return undefined
  const file = new SqliteFile(path, runtime, { readOnly: true })
  return new Kysely<Schema>({ dialect: new NodeSqliteDialect(file) })
}
