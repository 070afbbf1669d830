import type { DatabaseSync } from 'node:sqlite'
import { sql } from 'kysely'
import type { Queries } from './database.ts'
import type { Schema } from './schema.ts'

/** Every table that is moved; those that others refer to come first. `health` has nothing to keep. */
const TABLES = [
  'flows',
  'connections',
  'sessions',
  'session_connections',
  'inbox',
  'delivery_keys',
  'attempts',
  'participants',
  'erasures',
  'sealing_keys',
  'inline_answers',
  'handshake_callers',
  'key_uses',
  'api_budgets',
] as const satisfies readonly (keyof Schema)[]

/** PostgreSQL takes at most 65,535 parameters in a statement. */
const BATCH_ROWS = 500
/** A statement is held several times over on its way, and PostgreSQL takes at most a gigabyte of it. */
const BATCH_BYTES = 4 * 1024 * 1024

export interface Copied {
  readonly table: string
  readonly rows: number
}

/** The first table that has rows. */
export async function firstFilled(query: Queries): Promise<string | undefined> {
  for (const table of TABLES) {
    const { rows } = await sql`select 1 from ${sql.table(table)} limit 1`.execute(query)
    if (rows.length > 0) return table
  }
  return undefined
}

/** Copies everything in one transaction, so that what is interrupted leaves nothing behind. */
export function copyStore(
  source: DatabaseSync,
  target: Queries,
  progress: (copied: Copied) => void,
): Promise<Copied[]> {
  return target.transaction().execute(async trx => {
    const done: Copied[] = []
    for (const table of TABLES) {
      const rows = await copyTable(source, trx, table, rows => progress({ table, rows }))
      done.push({ table, rows })
    }
    await continueNumbers(source, trx)
    return done
  })
}

async function copyTable(
  source: DatabaseSync,
  trx: Queries,
  table: keyof Schema,
  progress: (rows: number) => void,
): Promise<number> {
  let batch: Record<string, unknown>[] = []
  let bytes = 0
  let copied = 0
  const write = async () => {
    if (batch.length === 0) return
    // The columns are the table's own: which table it is, is known only here.
    await trx
      .insertInto(table)
      .values(batch as never)
      .execute()
    copied += batch.length
    batch = []
    bytes = 0
    progress(copied)
  }
  for (const row of source.prepare(`select * from ${table}`).iterate()) {
    // A row may be as large as the largest body: before it, not after, what is held becomes too much.
    const size = bytesOf(row)
    if (batch.length === BATCH_ROWS || bytes + size > BATCH_BYTES) await write()
    batch.push(wholeNumbers(row))
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

/** SQLite keeps a fraction in a column of whole numbers; PostgreSQL refuses it. */
const wholeNumbers = (row: Record<string, unknown>) =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, typeof value === 'number' ? Math.ceil(value) : value]),
  )

/** No later delivery gets the number of one that was removed. */
async function continueNumbers(source: DatabaseSync, trx: Queries): Promise<void> {
  const last = source.prepare(`select seq from sqlite_sequence where name = 'inbox'`).get()?.['seq']
  if (typeof last === 'number')
    await sql`select setval(pg_get_serial_sequence('inbox', 'id'), ${last})`.execute(trx)
}
