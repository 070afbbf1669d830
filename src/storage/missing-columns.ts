import { Kysely, type TableMetadata } from 'kysely'
import { systemRuntime } from '../process/runtime.ts'
import type { Queries } from './database.ts'
import type { Schema } from './schema.ts'
import { NodeSqliteDialect } from './sqlite/dialect.ts'
import { IN_MEMORY, SqliteFile } from './sqlite/sqlite.ts'
import { UnusableDatabaseError } from './unusable-database.ts'

/** Compares with what `migrate` makes of an empty database: there is no second list to keep. */
export async function refuseMissingColumns(
  query: Queries,
  migrate: (empty: Queries) => Promise<void>,
): Promise<void> {
  const has = new Set((await query.introspection.getTables()).flatMap(columnsOf))
  const missing = (await columnsAfter(migrate)).find(column => !has.has(column))
  if (missing)
    throw new UnusableDatabaseError(`The database has no ${missing}: it is not whole. Put a backup back.`)
}

const columnsAfter = (migrate: (empty: Queries) => Promise<void>): Promise<string[]> =>
  inMemory(async model => {
    await migrate(model)
    return (await model.introspection.getTables()).flatMap(columnsOf)
  })

/** An empty database that is gone afterwards. */
export async function inMemory<T>(work: (empty: Queries) => Promise<T>): Promise<T> {
  const model = new Kysely<Schema>({
    dialect: new NodeSqliteDialect(new SqliteFile(IN_MEMORY, systemRuntime)),
  })
  try {
    return await work(model)
  } finally {
    await model.destroy()
  }
}

const columnsOf = ({ name, columns }: TableMetadata) => [
  `table ${name}`,
  ...columns.map(column => `column ${name}.${column.name}`),
]
