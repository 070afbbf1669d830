import {
  CompiledQuery,
  PostgresAdapter,
  type QueryExecutorProvider,
  type RawBuilder,
  sql,
  type TransactionSettings,
} from 'kysely'
import { StorageError } from '../process/errors.ts'
import type { Queries } from './database.ts'

/** Whether a query runs on PostgreSQL. Few places ask this; nearly every query is the same for both databases. */
export const isPostgres = (db: QueryExecutorProvider): boolean =>
  db.getExecutor().adapter instanceof PostgresAdapter

/**
 * Locks a name until this transaction ends. SQLite needs no lock, since it lets one transaction write at a time.
 * PostgreSQL runs them side by side, so that what one has read may have changed before it writes.
 */
export async function lock(trx: QueryExecutorProvider, name: string): Promise<void> {
  if (isPostgres(trx)) await sql`select pg_advisory_xact_lock(hashtextextended(${name}, 0))`.execute(trx)
}

/** Locks these names against `lock`, but not against other calls of `lockShared`. */
export async function lockShared(trx: QueryExecutorProvider, names: Iterable<string>): Promise<void> {
  if (isPostgres(trx))
    await sql`select pg_advisory_xact_lock_shared(hashtextextended(r.key, 0))
      from json_each(${namesText(names)}) as r`.execute(trx)
}

/** The name to lock while an event's data is erased, or written after a check that it is not erased. */
export const eventLock = (eventId: string) => `event ${eventId}`

const TRIES = 4
/** Kysely hands a driver nothing but such settings, and neither database has this level: here it stands for a relaxed one. */
const RELAXED = 'read uncommitted'
export const isRelaxed = ({ isolationLevel }: TransactionSettings): boolean => isolationLevel === RELAXED

/**
 * Runs `work` in a transaction, and again where nothing was kept and another try may succeed: PostgreSQL ends one of two
 * transactions that wait for each other, and all when it restarts. A relaxed commit does not wait for the disk: it survives
 * the end of the process at once, and a power cut a second later.
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
 * Replaces NUL, which PostgreSQL's text cannot have, by U+FFFD, and in such a text also halves of surrogate pairs, which
 * neither database stores. Raw bodies are bytes and stay as they came.
 */
export const storable = (value: unknown): unknown =>
  typeof value === 'string' && value.includes('\0') ? storableText(value) : value

const storableText = (text: string) => text.toWellFormed().replaceAll('\0', '\uFFFD')

/** JSON whose texts are storable. JSON writes NUL and half pairs as \u escapes, so most values need no second pass. */
export function storableJson(value: unknown): string {
  const json = JSON.stringify(value)
  if (!json.includes('\\u')) return json
  return JSON.stringify(value, (_key, member) => (typeof member === 'string' ? storableText(member) : member))
}

/**
 * A statement whose text never changes, with its parameters as $1, $2 …, for what runs once for a few deliveries: the query
 * builder takes longer to build such a statement than SQLite takes to run it.
 */
export function statement<Row = never>(text: string, { onPostgres = '' } = {}) {
  const execute = executor<Row>(text, onPostgres)
  return async (query: Queries, ...parameters: readonly unknown[]): Promise<Row[]> =>
    (await execute(query, parameters)).rows
}

/** A `statement` that gives no rows: resolves with how many it has changed. */
export function change(text: string) {
  const execute = executor(text)
  return async (query: Queries, ...parameters: readonly unknown[]): Promise<number> =>
    Number((await execute(query, parameters)).numAffectedRows)
}

/**
 * A `change` that SQLite runs for each row in one call, with the row's numbers and storable texts as parameters: half of
 * what it takes to read the rows from JSON. PostgreSQL does not know it.
 */
export function changeEach(text: string) {
  const onSqlite = forSqlite(text)
  return async (query: Queries, rows: readonly (readonly (string | number)[])[]): Promise<number> =>
    Number((await query.executeQuery(CompiledQuery.raw(onSqlite, [...rows]))).numAffectedRows)
}

const forSqlite = (text: string) => text.replaceAll(/\$(?=\d)/g, '?')

function executor<Row>(text: string, onPostgres = '') {
  const onSqlite = forSqlite(text)
  const onServer = (text + onPostgres).replaceAll('json_each(', 'jsonb_each(')
  return (query: Queries, parameters: readonly unknown[]) =>
    query.executeQuery<Row>(CompiledQuery.raw(isPostgres(query) ? onServer : onSqlite, [...parameters]))
}

/**
 * Many rows as one parameter of a FROM clause, read with `text` and `integer`: any number of rows is one statement, compiled
 * once. json_each gives `key` and `value` of an object's members, in their order. PostgreSQL runs jsonb_each instead, because
 * json_each leaves a row as text, which every `->>` reads anew: three times as long for 50 rows of 18 columns.
 */
export const records = (rows: readonly object[]) => sql`json_each(${recordsText(rows)}) as r`

/** The text of `records` as a parameter of a `statement`. */
export const recordsText = (rows: readonly object[]): string => storableJson({ ...rows })

export const text = (column: string): RawBuilder<string> => sql`r.value ->> ${sql.lit(column)}`

export const integer = (column: string): RawBuilder<number> =>
  sql`cast(r.value ->> ${sql.lit(column)} as bigint)`

/** A list of ids for `where('id', 'in', …)`. Its text is built by hand, as that of `namesText`: by way of an object it takes ten times as long. */
export const ids = (list: readonly number[]): RawBuilder<number> =>
  sql`(select cast(r.key as bigint) from json_each(${idsText(list)}) as r)`

/** The text of `ids` as a parameter of a `statement`: `id in (select cast(r.key as bigint) from json_each($1) as r)`. */
export const idsText = (list: readonly number[]): string =>
  list.length > 0 ? `{"${list.join('":0,"')}":0}` : '{}'

/** A list of names as a parameter of a `statement`: `event_id in (select r.key from json_each($1) as r)`. */
export const namesText = (list: Iterable<string>): string =>
  `{${Array.from(list, name => `${storableJson(name)}:0`).join()}}`

/** Selects deliveries that a handler still has to see. The values are literals, or the partial index is not used. */
export const isOpen = sql<boolean>`state in ('pending', 'running')`

/** A removed body is overwritten: with SQLite this many bytes block the event loop for some milliseconds. */
const BYTES = 1024 * 1024
/** The size of a run's row, with its error and its calls, as far as it is worth counting. */
const RUN_BYTES = 2_560

/** The size of a delivery's body, found without reading the body, and of its runs; select it as `bytes`. */
export const deliveryBytes: RawBuilder<number> = sql<number>`coalesce(length(body), 0) + ${sql.lit(RUN_BYTES)}
  * (select cast(count(*) as integer) from attempts where attempts.inbox_id = inbox.id)`

/** The first rows that together have at most `most` bytes, but at least one row. */
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
