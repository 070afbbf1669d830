import { createHash } from 'node:crypto'
import { Kysely, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { migrations } from '../integration/migrations/index.ts'
import { StorageError } from '../process/errors.ts'
import { systemRuntime } from '../process/runtime.ts'
import type { Queries } from './database.ts'
import { UnusableDatabaseError } from './errors.ts'
import { moveInbox } from './migrations/060-outcomes.ts'
import { MIGRATIONS } from './migrations/index.ts'
import { checkList, migrateOwn, type OwnMigrations, refuseOtherOwn, rehearse } from './own-migrations.ts'
import { withGrant } from './postgres/advice.ts'
import type { Schema } from './schema.ts'
import { isPostgres } from './sql.ts'
import { NodeSqliteDialect } from './sqlite/dialect.ts'
import { IN_MEMORY, SqliteFile } from './sqlite/sqlite.ts'

const KNOWN = Object.keys(MIGRATIONS)
export const SCHEMA_VERSION = KNOWN.at(-1) ?? ''

/** A newer version of the program has changed the database, and this one would misread it. */
export class NewerSchemaError extends Error {
  constructor(found: string) {
    super(
      `The database has schema ${found}, and this version of the program knows up to ${SCHEMA_VERSION}. ` +
        'Start the newer version, or restore a backup from before it. Nothing has been written.',
    )
    this.name = 'NewerSchemaError'
  }
}

/** Runs our migrations and then the builder's, each once however many processes start: Kysely takes a lock for it. */
export async function migrate(query: Queries, own: OwnMigrations = migrations): Promise<void> {
  if (await isMigrated(query, own)) return moveInbox(query)
  const found = await refuseOthers(query, own)
  if (found.left === 'pending')
    await inMemory(async model => migrateToLatest(model).then(() => rehearse(model, own)))
  if (found.applied < KNOWN.length) await migrateToLatest(query)
  if (found.applied > 0) await moveInbox(query)
  if (found.left === 'pending') await migrateOwnToLatest(query, own)
  // The check before the migrations could not see the columns that they have just made.
  if (found.applied > 0) await refuseOtherSchema(query, own)
  if (!isPostgres(query)) await rememberSchema(query, own)
}

/** Whether every migration of both lists has been applied. Refuses what `migrate` would refuse, and only reads. */
export async function isMigrated(query: Queries, own: OwnMigrations = migrations): Promise<boolean> {
  checkList(own)
  const { applied, left } = await refuseOtherSchema(query, own)
  return applied === KNOWN.length && left === 'complete'
}

/** Migrates without a check of the result. */
async function migrateToLatest(query: Queries): Promise<void> {
  const schema = await schemaOf(query)
  const migrator = new Migrator({
    db: query,
    provider: { getMigrations: async () => MIGRATIONS },
    // Without a named schema a table of that name in another schema would count as ours.
    ...(schema === undefined ? {} : { migrationTableSchema: schema }),
  })
  const { error } = await migrator.migrateToLatest()
  if (error === undefined) return
  if (error instanceof UnusableDatabaseError) throw error
  if (error instanceof StorageError) throw await withGrant(query, error)
  // A newer version may have migrated a moment earlier.
  await refuseOtherMigrations(query, await tablesOf(query))
  throw new StorageError('migration_failed', { cause: error })
}

async function migrateOwnToLatest(query: Queries, own: OwnMigrations): Promise<void> {
  const schema = await schemaOf(query)
  await migrateOwn(query, own, { schema }).catch(async error => {
    if (error instanceof StorageError) throw await withGrant(query, error)
    await refuseOtherOwn(query, own, await tablesOf(query))
    throw error
  })
}

/** Refuses a database that is not as our migrations and the builder's left it. Only reads. */
export async function refuseOtherSchema(query: Queries, own: OwnMigrations = migrations) {
  const found = await refuseOthers(query, own)
  const list = found.left === 'complete' ? own : NO_OWN
  if (found.applied === KNOWN.length && !(await isRemembered(query, list)))
    await refuseMissingColumns(query, await columnsAfter(list))
  return found
}

/** Keeps in the file's header what the schema was after both lists, so that a start need not run them in memory: 65 ms. */
async function rememberSchema(query: Queries, own: OwnMigrations): Promise<void> {
  await sql.raw(`pragma user_version = ${await fingerprintOf(query, own)}`).execute(query)
}

/** Whether the schema is still as these lists have left it. An older file has no fingerprint: its columns are compared. */
async function isRemembered(query: Queries, own: OwnMigrations): Promise<boolean> {
  if (isPostgres(query)) return false
  const { rows } = await sql<{ user_version: number }>`pragma user_version`.execute(query)
  return rows[0]?.user_version === (await fingerprintOf(query, own))
}

/** A number made of the names of both lists and the text of the schema: any change of a table changes it. */
async function fingerprintOf(query: Queries, own: OwnMigrations): Promise<number> {
  const { rows } = await sql<{ sql: string }>`select sql from sqlite_schema
    where sql is not null and name not glob 'sqlite_*' order by name`.execute(query)
  const text = JSON.stringify([KNOWN, Object.keys(own), rows.map(row => row.sql)])
  return createHash('sha256').update(text).digest().readInt32BE()
}

/** Refuses a database with migrations that neither list has. Returns how many of ours it has, and what of the builder's. */
async function refuseOthers(query: Queries, own: OwnMigrations) {
  const tables = await tablesOf(query)
  const applied = await refuseOtherMigrations(query, tables)
  return { applied, left: await refuseOtherOwn(query, own, tables) }
}

/** Returns how many of our migrations the database has. */
async function refuseOtherMigrations(query: Queries, tables: readonly string[]): Promise<number> {
  if (!tables.includes('kysely_migration')) {
    refuseStrangers(query, tables)
    return 0
  }
  const { rows } = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(query)
  const found = rows.map(row => row.name)
  if (found.some(name => !KNOWN.includes(name))) throw new NewerSchemaError(found.at(-1) ?? '')
  const gap = KNOWN.find((name, i) => i < found.length && found[i] !== name)
  if (gap)
    throw new UnusableDatabaseError(
      `The database does not say that it has migration ${gap}, but it has later ones: it is not whole. ` +
        'Put a backup back.',
    )
  return found.length
}

/** Refuses a file with foreign tables. PostgreSQL has schemas that keep programs apart, and extensions with tables. */
function refuseStrangers(query: Queries, tables: readonly string[]): void {
  if (tables.length > 0 && !isPostgres(query))
    throw new UnusableDatabaseError(
      `The database belongs to another program: it has the table ${tables[0]}. Check DATABASE_URL.`,
    )
}

interface Column {
  readonly table: string
  readonly column: string
}

/** The columns of the tables and views that our queries see. Kysely's own look at the catalogue takes 4 ms. */
async function columnsOf(query: Queries): Promise<Column[]> {
  // `schemaOf` comes first, because its error says in words that there is no schema.
  const schema = await schemaOf(query)
  const ofSqlite = (type: 'table' | 'view') =>
    sql<Column>`select t.name as "table", c.name as "column" from sqlite_schema t, pragma_table_info(t.name) c
      where t.type = ${type} and t.name not glob 'sqlite_*'`
      .execute(query)
      .then(({ rows }) => rows)
  // SQLite refuses to read any view while a table of one is missing: that table is what has to be named.
  const noViews = (error: unknown) => {
    if (error instanceof StorageError) throw error
    return []
  }
  if (schema === undefined) return [...(await ofSqlite('table')), ...(await ofSqlite('view').catch(noViews))]
  const { rows } = await sql<Column>`select t.relname as "table", c.attname as "column" from pg_class t
      join pg_attribute c on c.attrelid = t.oid and c.attnum > 0 and not c.attisdropped
      where t.relnamespace = (select oid from pg_namespace where nspname = current_schema()) and t.relkind in ('r', 'p', 'v')`.execute(
    query,
  )
  return rows
}

/** The names of the tables and views that our queries see. */
export async function tablesOf(query: Queries): Promise<string[]> {
  const schema = await schemaOf(query)
  const { rows } = await (schema === undefined
    ? sql<{ name: string }>`select name from sqlite_schema
        where type in ('table', 'view') and name not glob 'sqlite_*'`
    : sql<{ name: string }>`select relname as name from pg_class
        where relnamespace = (select oid from pg_namespace where nspname = current_schema()) and relkind in ('r', 'p', 'v')`
  ).execute(query)
  return rows.map(({ name }) => name)
}

/** In PostgreSQL the first schema of the search path, where new tables are made. */
async function schemaOf(query: Queries): Promise<string | undefined> {
  if (!isPostgres(query)) return undefined
  const { rows } = await sql<{ name: string | null }>`select current_schema() as name`.execute(query)
  if (!rows[0]?.name) throw await withGrant(query, new StorageError('no_schema_in_search_path'))
  return rows[0].name
}

/** Reads the columns after the names of the migrations, so that those of a migration that has just ended are there. */
async function refuseMissingColumns(query: Queries, wanted: readonly string[]): Promise<void> {
  const has = new Set(namesOf(await columnsOf(query)))
  const missing = wanted.find(name => !has.has(name))
  if (missing)
    throw new UnusableDatabaseError(`The database has no ${missing}: it is not whole. Put a backup back.`)
}

const NO_OWN: OwnMigrations = {}
/** The columns that each list of migrations makes, computed once. */
const made = new WeakMap<OwnMigrations, Promise<readonly string[]>>()

/** The columns that our migrations and then these make of an empty database, so that there is no second list of them. */
function columnsAfter(own: OwnMigrations): Promise<readonly string[]> {
  const known =
    made.get(own) ??
    inMemory(async model => {
      await migrateToLatest(model)
      await migrateOwn(model, own)
      return namesOf(await columnsOf(model))
    })
  made.set(own, known)
  return known
}

/** Gives `work` an empty database in memory, which is gone afterwards. */
async function inMemory<T>(work: (empty: Queries) => Promise<T>): Promise<T> {
  const model = new Kysely<Schema>({
    dialect: new NodeSqliteDialect(new SqliteFile(IN_MEMORY, systemRuntime)),
  })
  try {
    return await work(model)
  } finally {
    await model.destroy()
  }
}

/** A table is named before its columns, so that a missing one is not called a missing column. */
const namesOf = (columns: readonly Column[]) =>
  columns.flatMap(({ table, column }) => [`table ${table}`, `column ${table}.${column}`])
