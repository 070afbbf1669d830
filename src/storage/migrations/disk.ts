import { statfsSync } from 'node:fs'
import { type Kysely, sql } from 'kysely'
import { UnusableDatabaseError } from '../errors.ts'

/** What a row needs in both tables beyond what it had in one, with its index entries; and the log of a batch. */
const ROW_BYTES = 200
const LOG_BYTES = 128 * 1024 * 1024

/** Refuses to begin what the disk would not hold: half way, the program would neither start nor go back. */
export async function refuseSmallDisk(db: Kysely<unknown>, table: string): Promise<void> {
  const { rows: files } = await sql<{ file: string }>`select file from pragma_database_list
    where name = 'main'`.execute(db)
  const { rows } = await sql<{ n: number }>`select count(*) as n from ${sql.table(table)}`.execute(db)
  const [file, n] = [files[0]?.file ?? '', rows[0]?.n ?? 0]
  if (file === '' || n === 0) return
  const { bavail, bsize } = statfsSync(file)
  const needed = n * ROW_BYTES + LOG_BYTES
  if (bavail * bsize < needed)
    throw new UnusableDatabaseError(
      `The new tables for ${n} deliveries need ${Math.ceil(needed / 1024 ** 2)} MiB of disk beside ${file}, and ` +
        `${Math.floor((bavail * bsize) / 1024 ** 2)} MiB are free. Make room, and start again.`,
    )
}
