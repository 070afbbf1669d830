import { sql } from 'kysely'
import type { Runtime } from '../../process/runtime.ts'
import type { Queries } from '../database.ts'
import { isPostgres } from '../sql.ts'

/** A reader, such as a backup, holds the log as long as it reads: what was erased is gone from it so long after. */
const EVERY_MS = 20_000

/**
 * Until the signal fires: writes SQLite's log into the file and empties it. Of itself SQLite writes it from its start
 * again, and what was erased stays readable behind its end until that is overwritten.
 */
export async function watchLog(
  query: Queries,
  runtime: Pick<Runtime, 'sleep'>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    // Where others read or write it is put off: that is no error. A store that fails is reported by whoever needs it.
    await emptyLog(query).catch(() => {})
    await runtime.sleep(EVERY_MS, signal).catch(() => {})
  }
}

/**
 * After each batch of something large. SQLite by itself writes its log into the file at every thousandth page, in one go,
 * and waits for the disk: measured 200 ms of the event loop, and 50 ms like this.
 */
export async function writeLog(query: Queries): Promise<void> {
  if (!isPostgres(query)) await sql`pragma wal_checkpoint(passive)`.execute(query)
}

/** False: somebody reads or writes. */
export async function emptyLog(query: Queries): Promise<boolean> {
  const { rows } = await sql<{ busy: number }>`pragma wal_checkpoint(truncate)`.execute(query)
  return rows[0]?.busy === 0
}
