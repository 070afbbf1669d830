import type { DatabaseSync } from 'node:sqlite'
import { sql } from 'kysely'
import type { Queries } from './database.ts'
import type { Schema } from './schema.ts'
import { isOwn, OUR_TABLES } from './tables.ts'

/** These tables are about running processes, and have nothing to keep. */
const NOT_MOVED: readonly string[] = ['health', 'key_instances'] satisfies (keyof Schema)[]
const MOVED = OUR_TABLES.filter(table => !NOT_MOVED.includes(table))

/** PostgreSQL takes at most 65,535 parameters in a statement. */
const BATCH_ROWS = 500
/** A statement is in memory several times on its way, and PostgreSQL takes a gigabyte of it at most. */
const BATCH_BYTES = 4 * 1024 * 1024

export interface Copied {
  readonly table: string
  readonly rows: number
}

/** Returns the first table that has rows, of ours or the builder's. */
export async function firstFilled(query: Queries): Promise<string | undefined> {
  const own = (await query.introspection.getTables()).map(({ name }) => name).filter(isOwn)
  for (const table of [...MOVED, ...own]) {
    const { rows } = await sql`select 1 from ${sql.table(table)} limit 1`.execute(query)
    if (rows.length > 0) return table
  }
  return undefined
}

/** Copies everything in one transaction, so that an interrupted copy leaves nothing behind. */
export function copyStore(
  source: DatabaseSync,
  target: Queries,
  progress: (copied: Copied) => void,
): Promise<Copied[]> {
  return target.transaction().execute(async trx => {
    const done: Copied[] = []
    for (const table of [...MOVED, ...ownTables(source)]) {
      const rows = await copyTable(source, trx, table, rows => progress({ table, rows }))
      done.push({ table, rows })
    }
    await continueNumbers(source, trx)
    return done
  })
}

/** The builder's tables, as the database lists them, those that others refer to first. */
function ownTables(source: DatabaseSync): string[] {
  const names = source.prepare(`select name from sqlite_schema where type = 'table'`).all()
  const left = new Set(names.map(({ name }) => String(name)).filter(isOwn))
  const referred = (table: string) =>
    source.prepare('select "table" as name from pragma_foreign_key_list(?)').all(table)
  const sorted: string[] = []
  while (left.size > 0) {
    const free = [...left].filter(
      table => !referred(table).some(({ name }) => name !== table && left.has(String(name))),
    )
    // In a circle no table is free: PostgreSQL then says which reference it misses.
    for (const table of free.length > 0 ? free : [...left]) {
      sorted.push(table)
      left.delete(table)
    }
  }
  return sorted
}

async function copyTable(
  source: DatabaseSync,
  trx: Queries,
  table: string,
  progress: (rows: number) => void,
): Promise<number> {
  // A fraction in a table of the builder's is intended.
  const asStored = isOwn(table) ? (row: Record<string, unknown>) => row : wholeNumbers
  let batch: Record<string, unknown>[] = []
  let bytes = 0
  let copied = 0
  const write = async () => {
    if (batch.length === 0) return
    // The columns are the table's own, but the types do not know which table it is.
    await trx
      .insertInto(table as keyof Schema)
      .values(batch as never)
      .execute()
    copied += batch.length
    batch = []
    bytes = 0
    progress(copied)
  }
  for (const row of source.prepare(`select * from "${table}"`).iterate()) {
    // A row may be as large as the largest body, so the batch is written before the row that makes it too large.
    const size = bytesOf(row)
    if (batch.length === BATCH_ROWS || bytes + size > BATCH_BYTES) await write()
    batch.push(asStored(row))
    bytes += size
  }
  await write()
  return copied
}

const bytesOf = (row: Record<string, unknown>) =>
  Object.values(row).reduce<number>(
    (sum, value) => sum + (value instanceof Uint8Array || typeof value === 'string' ? value.length : 8),
    0,
  )

/** SQLite may have a fraction in a column of whole numbers, which PostgreSQL refuses. */
const wholeNumbers = (row: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, typeof value === 'number' ? Math.ceil(value) : value]),
  )

/** Continues the numbers of rows, so that no new row gets the number of one that was removed. */
async function continueNumbers(source: DatabaseSync, trx: Queries): Promise<void> {
  // One sequence is above 2^53 on purpose; see migration 060.
  const noted = source.prepare('select name, seq from sqlite_sequence where seq < 1 << 53').all()
  const last = new Map(noted.map(({ name, seq }) => [String(name), Number(seq)]))
  const { rows } = await sql<{ table: string; column: string; sequence: string }>`
    select * from (select table_name as "table", column_name as "column",
      pg_get_serial_sequence(quote_ident(table_name), column_name) as sequence
    from information_schema.columns where table_schema = current_schema()) as known
    where sequence is not null`.execute(trx)
  for (const { table, column, sequence } of rows) {
    const newest = sql<number | null>`(select max(${sql.ref(column)}) from ${sql.table(table)})`
    await sql`select setval(${sequence}, greatest(${newest}, cast(${last.get(table) ?? null} as bigint)))`.execute(
      trx,
    )
  }
}
