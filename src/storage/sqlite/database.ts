import { statSync } from 'node:fs'
import { Kysely, sql } from 'kysely'
import type { Runtime } from '../../process/runtime.ts'
import { probe, type Queries, type SqliteDatabase } from '../database.ts'
import { migrate } from '../migrate.ts'
import type { OwnMigrations } from '../own-migrations.ts'
import type { Schema } from '../schema.ts'
import { NodeSqliteDialect } from './dialect.ts'
import { refuseLeftovers } from './leftovers.ts'
import { SqliteFile } from './sqlite.ts'
import { QUICK_CHECK, refuseUnlessOk } from './watch.ts'

/** The size up to which every page is read at each start: 1 ms a megabyte from memory, more from a disk. */
const READ_WHOLE = 64 * 1024 * 1024

/** `link` is another name of the file, which has to go on leading to it. `own` is for tests. */
export async function openSqlite(
  path: string,
  runtime: Runtime,
  o: { link?: string | undefined; own?: OwnMigrations | undefined } = {},
): Promise<SqliteDatabase> {
  refuseLeftovers(path)
  const file = new SqliteFile(path, runtime, { link: o.link })
  const query = new Kysely<Schema>({ dialect: new NodeSqliteDialect(file) })
  try {
    await migrate(query, o.own)
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
  refuseLeftovers(path)
  const stat = statSync(path, { throwIfNoEntry: false })
  if (!stat?.isFile() || stat.size === 0) return undefined
  const file = new SqliteFile(path, runtime, { readOnly: true })
  return new Kysely<Schema>({ dialect: new NodeSqliteDialect(file) })
}

/**
 * Reads every page of a file that is not too large: a larger one would delay the start for seconds. Damage that SQLite
 * meets later is refused then, and `npm run backup` reads every page.
 */
export async function refuseDamage(path: string, query: Queries): Promise<void> {
  if (statSync(path).size > READ_WHOLE) return
  const { rows } = await sql.raw<Record<string, unknown>>(QUICK_CHECK).execute(query)
  refuseUnlessOk(rows[0])
}
