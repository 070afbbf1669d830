import { type RawBuilder, sql } from 'kysely'

/** Removing a body overwrites it: so many bytes hold SQLite's event loop for some milliseconds. */
const BYTES = 1024 * 1024

/** The size of a delivery's body, without reading it; select it as `bytes`. */
export const bodyBytes: RawBuilder<number | null> = sql<number | null>`length(inbox.body)`

/** The first of these rows, as far as their bodies fill one batch; at least one. */
export function bodyBatch<Row extends { readonly bytes: number | null }>(
  rows: readonly Row[],
): readonly Row[] {
  let bytes = 0
  const full = rows.findIndex(row => {
    bytes += row.bytes ?? 0
    return bytes > BYTES
  })
  return full === -1 ? rows : rows.slice(0, Math.max(full, 1))
}
