import { sql } from 'kysely'
import { latestEnd, type SteadyClock } from '../process/trusted-time.ts'
import type { Queries } from './database.ts'
import type { Schema } from './schema.ts'

/** The rows of a table that expire, described by the room that owns them. */
export interface AgedRows {
  readonly table: keyof Schema & string
  readonly key: string
  /** The column with the row's end, in ms since 1970. */
  readonly ends: string
  /** The column with the row's beginning, for rows whose end is renewed. */
  readonly begins?: string
  /** How long a row stays after its end. */
  readonly keptMs: number
  /** How far ahead an end can lie. An end further ahead was written by a clock that was ahead. */
  readonly longestMs: number
}

const BATCH = 500

/**
 * Removes rows that have ended, and moves ends that lie too far ahead to the latest possible moment, so that no row stays
 * for more than twice its length. Does nothing while the clock is not believed. `pause` is awaited between batches.
 */
export async function tidyAged(
  query: Queries,
  aged: readonly AgedRows[],
  clock: SteadyClock,
  pause: () => Promise<unknown>,
): Promise<void> {
  for (const rows of aged) {
    const before = clock.oldBefore(rows.keptMs)
    if (before === undefined) return
    const now = clock.now()
    const [table, key, ends] = [sql.table(rows.table), sql.ref(rows.key), sql.ref(rows.ends)]
    const begins = rows.begins ? sql`, ${sql.ref(rows.begins)} = ${now}` : sql``
    const ended = sql`${ends} < ${before}`
    const ahead = sql`${ends} > ${latestEnd(now, rows.longestMs)}`
    const among = (condition: typeof ended) =>
      sql`${key} in (select ${key} from ${table} where ${condition} limit ${BATCH})`
    for (const statement of [
      sql`delete from ${table} where ${among(ended)} and ${ended}`,
      sql`update ${table} set ${ends} = ${now + rows.longestMs}${begins} where ${among(ahead)} and ${ahead}`,
    ])
      while (Number((await statement.execute(query)).numAffectedRows ?? 0) === BATCH) await pause()
  }
}
