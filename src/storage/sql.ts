import {
  PostgresAdapter,
  type QueryExecutorProvider,
  type RawBuilder,
  sql,
  type TransactionSettings,
} from 'kysely'
import { StorageError } from '../process/errors.ts'
import type { Queries } from './database.ts'

/** The few places where the two databases differ ask this; everything else is one query for both. */
export const isPostgres = (db: QueryExecutorProvider): boolean =>
  db.getExecutor().adapter instanceof PostgresAdapter

/**
 * Until this transaction ends, no other one holds the name. SQLite lets one transaction write at a time and needs
 * nothing; PostgreSQL runs them side by side, and what one has read may have changed before it writes.
 */
export async function lock(trx: QueryExecutorProvider, name: string): Promise<void> {
  if (isPostgres(trx)) await sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`.execute(trx)
}

/** Beside others that hold these names together, and never while one holds one of them alone. */
export async function lockShared(trx: QueryExecutorProvider, names: Iterable<string>): Promise<void> {
  const list = Object.fromEntries([...names].map(name => [name, 0]))
  if (isPostgres(trx) && Object.keys(list).length > 0)
    await sql`select pg_advisory_xact_lock_shared(hashtextextended(r.key, 0))
      from json_each(${storableJson(list)}) as r`.execute(trx)
}

/** The name under which an event's data is erased, and under which whoever writes of it looks whether it was. */
export const eventLock = (eventId: string) => `event ${eventId}`

const TRIES = 4
/** Kysely hands a driver nothing but such settings, and neither database has this level: here it stands for a relaxed one. */
const RELAXED = 'read uncommitted'
export const isRelaxed = ({ isolationLevel }: TransactionSettings): boolean => isolationLevel === RELAXED

/**
 * All or nothing. `work` runs again where the database kept nothing of it and another try may succeed: PostgreSQL ends
 * one of two transactions that wait for each other, and all of them when it restarts.
 * A relaxed one survives the end of the process at once, and a power cut a second later: its commit does not wait for
 * the disk.
 */
export async function transaction<T>(
  query: Queries,
  work: (trx: Queries) => Promise<T>,
  { relaxed = false } = {},
): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      const begun = query.transaction()
      return await (relaxed ? begun.setIsolationLevel(RELAXED) : begun).execute(work)
    } catch (error) {
      if (!(error instanceof StorageError && error.repeatable) || tries === TRIES) throw error
    }
  }
}

/**
 * PostgreSQL's text holds no NUL, and neither database holds half a surrogate pair: both store U+FFFD in their place.
 * Raw bodies are bytes and stay as they came.
 */
export const storable = (value: unknown): unknown =>
  typeof value === 'string' && value.includes('\0') ? storableText(value) : value

const storableText = (text: string) => text.toWellFormed().replaceAll('\0', '\uFFFD')

/** JSON whose texts are storable. Both kinds of trouble are written as \u escapes, which are rare. */
export function storableJson(value: unknown): string {
  const json = JSON.stringify(value)
  if (!json.includes('\\u')) return json
  return JSON.stringify(value, (_key, member) => (typeof member === 'string' ? storableText(member) : member))
}

/**
 * Many rows as one parameter: however many there are, the statement's text is the same, so that it is compiled once.
 * Stands in a FROM clause; its columns are `text` and `integer`. Both databases have a json_each with `key` and
 * `value`; PostgreSQL's takes an object only, so the rows are the members of one, in their order.
 */
export const records = (rows: readonly object[]) => sql`json_each(${storableJson({ ...rows })}) as r`

export const text = (column: string): RawBuilder<string> => sql`r.value ->> ${sql.lit(column)}`

export const integer = (column: string): RawBuilder<number> =>
  sql`cast(r.value ->> ${sql.lit(column)} as bigint)`

/** For `where('id', 'in', …)`. */
export const ids = (list: readonly number[]): RawBuilder<number> =>
  sql`(select cast(r.key as bigint) from json_each(${JSON.stringify(Object.fromEntries(list.map(id => [id, 0])))}) as r)`

/** Deliveries that a handler still has to see. Written out: a partial index is not used for values bound later. */
export const isOpen = sql<boolean>`inbox.state in ('pending', 'running')`

/** Removing a body overwrites it: so many bytes hold SQLite's event loop for some milliseconds. */
const BYTES = 1024 * 1024
/** A run of a handler is a row too, with its error and its calls. */
const RUN_BYTES = 2_560

/** The size of a delivery's body, without reading it; select it as `bytes`. */
export const bodyBytes: RawBuilder<number | null> = sql<number | null>`length(inbox.body)`

/** The same, with what its runs take. */
export const deliveryBytes: RawBuilder<number> = sql<number>`coalesce(length(inbox.body), 0) + ${sql.lit(RUN_BYTES)}
  * (select cast(count(*) as integer) from attempts where attempts.inbox_id = inbox.id)`

/** The first of these rows, as far as they fill one batch of so many bytes; at least one. */
export function byteBatch<Row extends { readonly bytes: number | null }>(
  rows: readonly Row[],
  most = BYTES,
): readonly Row[] {
  let bytes = 0
  const full = rows.findIndex(row => {
    bytes += row.bytes ?? 0
    return bytes > most
  })
  return full === -1 ? rows : rows.slice(0, Math.max(full, 1))
}
