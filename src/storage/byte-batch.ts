import { type RawBuilder, sql } from 'kysely'

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
