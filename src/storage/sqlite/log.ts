import { sql } from 'kysely'
import type { Runtime } from '../../process/runtime.ts'
import type { Queries } from '../database.ts'
import { isPostgres } from '../sql.ts'

/** How often the log is emptied. A reader, such as a backup, keeps it from being emptied while it reads. */
const EVERY_MS = 20_000

/**
 * Writes SQLite's log into the file and empties it, until the signal fires. SQLite itself only writes the log from its
 * start again, and erased data would stay readable behind its end until it is overwritten.
 */
export async function watchLog(
  query: Queries,
  runtime: Pick<Runtime, 'sleep'>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    // A log that is in use is emptied next time. A failure of the store is reported where the store is needed.
    await emptyLog(query).catch(() => {})
    await runtime.sleep(EVERY_MS, signal).catch(() => {})
  }
}

/**
 * Writes the log into the file after a batch of a large change. SQLite itself would do it at every thousandth page at
 * once, which was measured to block the event loop for 200 ms, against 50 ms with this.
 */
export async function writeLog(query: Queries): Promise<void> {
  if (!isPostgres(query)) await sql`pragma wal_checkpoint(passive)`.execute(query)
}

/** Writes the log into the file and empties it. False: another connection reads or writes. */
export async function emptyLog(query: Queries): Promise<boolean> {
  const { rows } = await sql<{ busy: number }>`pragma wal_checkpoint(truncate)`.execute(query)
  return rows[0]?.busy === 0
}
