import type { Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import type { Queries } from '../../src/storage/database.ts'
import { tablesOf } from '../../src/storage/migrate.ts'
import { MIGRATIONS } from '../../src/storage/migrations/index.ts'

/**
 * Takes a database back to the schema that the migrations up to `last` (`002`) make. Only the rows of these tables are
 * kept, as far as their columns existed.
 */
export async function takeBack(query: Queries, last: string, kept: readonly string[] = []): Promise<void> {
  const db = query as unknown as Kysely<Record<string, Record<string, unknown>>>
  const rows = await Promise.all(kept.map(table => db.selectFrom(table).selectAll().execute()))
  for (let left = await tablesOf(query); left.length > 0; left = await tablesOf(query))
    // A table to which others refer can only be dropped after them, so each round drops what it can.
    for (const name of left)
      for (const drop of [db.schema.dropView(name), db.schema.dropTable(name)])
        await drop.execute().catch(() => {})
  const older = Object.fromEntries(Object.entries(MIGRATIONS).filter(([name]) => name.slice(0, 3) <= last))
  const { error } = await new Migrator({
    db,
    provider: { getMigrations: async () => older },
  }).migrateToLatest()
  if (error) throw error
  const tables = await db.introspection.getTables()
  for (const [n, table] of kept.entries()) {
    const columns = tables.find(({ name }) => name === table)?.columns.map(({ name }) => name) ?? []
    for (const row of rows[n] ?? [])
      await db
        .insertInto(table)
        .values(Object.fromEntries(columns.map(name => [name, row[name]])))
        .execute()
  }
}
