import { sql } from 'kysely'
import { latestEnd, type SteadyClock } from '../process/trusted-time.ts'
import type { Queries } from './database.ts'
import type { Schema } from './schema.ts'

/** Rows of a table that end by themselves, named by the room that owns them. */
export interface AgedRows {
  readonly table: keyof Schema & string
  readonly key: string
  /** The column with the end, in ms since 1970. */
  readonly ends: string
  /** A column with the beginning, where the end may be put off. */
  readonly begins?: string
  /** How long a row stays after its end. */
  readonly keptMs: number
  /** How far ahead an end can be. One that is further was noted by a clock that was ahead. */
  readonly longestMs: number
}

const BATCH = 500

/**
 * Removes what has ended, and brings an end that no clock of now can have noted to where it can be: so nothing is held
 * for longer than once more its own length. Both only by a clock that is believed. `pause` is awaited between batches.
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
