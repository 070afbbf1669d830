import { type Kysely, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import { StorageError } from '../process/errors.ts'
import { BuilderMistake, lineOf, placeOf } from '../process/mistake.ts'
import type { Queries } from './database.ts'
import { isOwn, OWN_PREFIX } from './tables.ts'

/** The builder's list, by name. */
export type OwnMigrations = Readonly<Record<string, Migration>>

/** The builder's migrations have a table of their own, so that neither list looks like a gap in the other. */
const OWN_MIGRATION_TABLE = 'kysely_app_migration'
const LIST = 'src/integration/migrations/index.ts'

const placeIn = (name: string) => lineOf(LIST, `'${name}'`)

/** The file named as the migration, since an error of the database has no line of the builder's in its stack. */
function fileOf(name: string): string {
  try {
    return lineOf(`src/integration/migrations/${name}.ts`, 'up(')
  } catch {
    return placeIn(name)
  }
}

/** Refuses a list with a wrong name, an entry without `up`, or a wrong order. */
export function checkList(own: OwnMigrations): void {
  const names = Object.keys(own)
  for (const [n, name] of names.entries()) {
    if (!/^[\w-]{1,100}$/.test(name))
      throw new BuilderMistake(
        `${placeIn(name)}: a migration is named with letters, digits, - and _: '001-welcomes'.`,
      )
    if (typeof own[name]?.up !== 'function')
      throw new BuilderMistake(
        `${placeIn(name)}: '${name}' has no function up: export const … : Migration = { async up(db) {} }`,
      )
    const before = names[n - 1]
    if (before !== undefined && before >= name)
      throw new BuilderMistake(
        `${placeIn(name)}: '${name}' comes after '${before}' and sorts before it. They run in the order of their names: rename it.`,
      )
  }
}

/** Whether the database has all of the builder's migrations; refuses one that this list cannot have made. Only reads. */
export async function refuseOtherOwn(
  query: Queries,
  own: OwnMigrations,
  tables: readonly string[],
): Promise<'complete' | 'pending'> {
  const names = Object.keys(own)
  const found = tables.includes(OWN_MIGRATION_TABLE) ? await appliedTo(query) : []
  const unknown = found.find(name => !names.includes(name))
  if (unknown !== undefined)
    throw new BuilderMistake(
      `The database has your migration '${unknown}', and ${LIST} does not list it. Start the version that does, or put ` +
        'it back. Nothing has been written.',
    )
  const late = names.find((name, n) => n < found.length && found[n] !== name)
  if (late !== undefined)
    throw new BuilderMistake(
      `${placeIn(late)}: '${late}' sorts before '${found.at(-1)}', which this database has already. Rename it, so that ` +
        'it comes last. Nothing has been written.',
    )
  return found.length === names.length ? 'complete' : 'pending'
}

async function appliedTo(query: Queries): Promise<string[]> {
  const { rows } = await sql<{
    name: string
  }>`select name from ${sql.table(OWN_MIGRATION_TABLE)} order by name`.execute(query)
  return rows.map(row => row.name)
}

/** Runs the pending migrations, all or none. `check` runs after each of them. */
export async function migrateOwn(
  query: Queries,
  own: OwnMigrations,
  o: { schema?: string | undefined; check?: (db: Kysely<unknown>, name: string) => Promise<void> } = {},
): Promise<void> {
  if (Object.keys(own).length === 0) return
  const watched = Object.entries(own).map(([name, migration]) => [name, watch(name, migration, o.check)])
  const { error } = await new Migrator({
    db: query,
    provider: { getMigrations: async () => Object.fromEntries(watched) },
    migrationTableName: OWN_MIGRATION_TABLE,
    migrationLockTableName: `${OWN_MIGRATION_TABLE}_lock`,
    ...(o.schema === undefined ? {} : { migrationTableSchema: o.schema }),
  }).migrateToLatest()
  if (error !== undefined) throw error
}

function watch(
  name: string,
  { up }: Migration,
  check: (db: Kysely<unknown>, name: string) => Promise<void> = async () => {},
): Migration {
  return {
    async up(db: Kysely<unknown>) {
      try {
        await up(db)
      } catch (error) {
        if (error instanceof StorageError) throw error
        const message = error instanceof Error ? error.message : String(error)
        const advice = adviceOn(message)
        throw new BuilderMistake(
          `${placeOf(error) ?? fileOf(name)}: your migration '${name}' failed: ${message}.${advice} Nothing of it was ` +
            'kept: mend it, and start again.',
          { cause: error },
        )
      }
      await check(db, name)
    },
  }
}

function adviceOn(message: string): string {
  const [, taken] = /\b(\w+)"? already exists/.exec(message) ?? []
  if (taken === undefined || isOwn(taken)) return ''
  return ` It is this app's. What is yours begins with ${OWN_PREFIX}: call it ${OWN_PREFIX}${taken}.`
}

interface Made {
  readonly type: string
  readonly name: string
  readonly tbl_name: string
  readonly sql: string | null
}

/** Rehearses the builder's migrations in memory: each must run, make only the builder's tables, and refer to none of ours. */
export async function rehearse(empty: Queries, own: OwnMigrations): Promise<void> {
  let before = await everything(empty)
  await migrateOwn(empty, own, {
    async check(db, name) {
      const after = await everything(db)
      refuseStrange(name, before, after)
      await refuseReferences(db, name, after)
      before = after
    },
  })
}

const everything = async (db: Kysely<never> | Queries | Kysely<unknown>) =>
  (
    await sql<Made>`select type, name, tbl_name, sql from sqlite_schema
      where name not glob 'sqlite_*' and name not glob 'kysely_*'`.execute(db as Queries)
  ).rows

function refuseStrange(name: string, before: readonly Made[], after: readonly Made[]): void {
  const same = (a: Made) => (b: Made) => a.type === b.type && a.name === b.name && a.sql === b.sql
  const made = after.filter(one => !before.some(same(one)))
  const gone = before.filter(one => !after.some(same(one)))
  const ours = gone.find(one => !isOwn(one.name)) ?? made.find(one => !isOwn(one.tbl_name) && isOwn(one.name))
  if (ours)
    throw new BuilderMistake(
      `${placeIn(name)}: your migration '${name}' changes "${ours.tbl_name}", which is not yours: keep what you need in ` +
        `a table of your own. Nothing has been written.`,
    )
  const strange = made.find(one => !isOwn(one.name))
  if (strange)
    throw new BuilderMistake(
      `${placeIn(name)}: your migration '${name}' makes the ${strange.type} "${strange.name}". What is yours begins with ` +
        `${OWN_PREFIX}, so that no release of ours takes its name: call it ${OWN_PREFIX}${strange.name}. Nothing has been written.`,
    )
}

/** Refuses references to our tables, which a later migration of ours may rename or replace. */
async function refuseReferences(db: Kysely<unknown>, name: string, all: readonly Made[]): Promise<void> {
  for (const table of all.filter(one => one.type === 'table' && isOwn(one.name))) {
    const { rows } = await sql<{
      table: string
    }>`select "table" from pragma_foreign_key_list(${table.name})`.execute(db)
    const ours = rows.find(row => !isOwn(row.table))
    if (ours)
      throw new BuilderMistake(
        `${placeIn(name)}: your migration '${name}' has "${table.name}" refer to "${ours.table}", which is not yours: keep ` +
          'its id in a column without a foreign key. Nothing has been written.',
      )
  }
}
