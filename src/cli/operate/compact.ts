import { statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { print, readSettings, runCommand, Unusable, Usage } from '../command.ts'
import { onStore, openOurs, sqliteFile } from '../store.ts'

const HELP = `Usage: npm run compact

Rewrites the SQLite database of DATABASE_URL without its free pages, and says first how long that takes. This version
overwrites erased data at once. Versions before it left erased data in free pages: run this once after the update. It
also gives back the space of removed deliveries.

While it runs the app stores nothing: it answers webhooks with 503, and they are sent again. It needs twice the size of
the database as free room: once for SQLite's log beside it, once for a temporary file in SQLITE_TMPDIR or /var/tmp.
For PostgreSQL use VACUUM FULL.
`

/** A cautious guess for a small server: it gives a time to expect, not a limit. */
const MEGABYTES_PER_SECOND = 50
const MEGABYTE = 1024 * 1024

async function main(): Promise<number> {
  const store = sqliteFile(readSettings().store, 'use VACUUM FULL')
  const before = sizeOf(store.path)
  const room = roomBeside(store.path)
  if (room < 2 * before)
    throw new Usage(
      `${store.path} has ${before} MB, its disk ${room} MB of room: ${2 * before} MB are needed. Nothing was changed.`,
    )
  const expected = Math.ceil(before / MEGABYTES_PER_SECOND)
  print(`${store.path}: ${before} MB, which takes about ${expected} s. Nothing is stored meanwhile.`)
  const begun = runtime.monotonic()
  await onStore(store, () => compact(store.path))
  const seconds = Math.ceil((runtime.monotonic() - begun) / 1000)
  print(`Done in ${seconds} s: ${sizeOf(store.path)} MB.`)
  return 0
}

const sizeOf = (path: string) => Math.ceil(statSync(path).size / MEGABYTE)

function roomBeside(path: string): number {
  const { bavail, bsize } = statfsSync(dirname(path))
  return Math.floor((bavail * bsize) / MEGABYTE)
}

function compact(path: string): void {
  const database = openOurs(path, false)
  try {
    database.exec('pragma secure_delete = on; vacuum')
    // The log still holds the old pages until this. The app does the same every 20 seconds.
    const log = database.prepare('pragma wal_checkpoint(truncate)').get()
    if (log?.['busy'] !== 0)
      print('Another program reads the database: the app, or a later run, empties its log afterwards.')
  } finally {
    database.close()
  }
}

await runCommand({
  name: 'compact',
  help: HELP,
  options: {},
  main,
  explain: error =>
    error instanceof Unusable
      ? undefined
      : `The database is as it was: ${error.message}. Check that the disks that --help names have room.`,
})
