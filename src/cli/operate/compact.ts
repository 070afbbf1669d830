import { existsSync, statfsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { ConfigError, loadConfig, readEnvironment } from '../../config/settings.ts'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { onStore, print, runCommand, Unusable, Usage } from '../command.ts'

const HELP = `Usage: npm run compact

Rewrites the SQLite database of DATABASE_URL without its free pages, and says first how long that takes. What this
version erases is overwritten at once and needs no such run. Versions before it left erased data in free pages: run it
once after the update. It also gives back the space that removed deliveries took.

While it runs the app stores nothing: it answers webhooks with 503, and their senders come again. It needs twice as much
free room as the database has: once for SQLite's log beside it, once for a temporary file in SQLITE_TMPDIR or /var/tmp.
For PostgreSQL use VACUUM FULL.
`

/** A cautious guess for a small server: what is said is a time to expect, not a limit. */
const MEGABYTES_PER_SECOND = 50
const MEGABYTE = 1024 * 1024

async function main(): Promise<number> {
  const { store } = loadConfig(readEnvironment({}))
  if (store.kind !== 'sqlite') throw new Usage('DATABASE_URL is a PostgreSQL: use VACUUM FULL.')
  if (!existsSync(store.path)) throw new Usage(`There is no ${store.path}: check DATABASE_URL.`)
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
  const database = new DatabaseSync(path, { timeout: 8_000 })
  try {
    const tables = database.prepare('select name from sqlite_schema').all()
    if (!tables.some(({ name }) => name === 'inbox'))
      throw new Usage(`${path} is no database of this app: check DATABASE_URL.`)
    database.exec('pragma secure_delete = on; vacuum')
    // Without this the old pages are in the log still. The app does the same, every 20 seconds.
    const log = database.prepare('pragma wal_checkpoint(truncate)').get()
    if (log?.['busy'] !== 0)
      print(
        'Somebody is reading the database: its log is emptied when they have ended, by the app or a later run.',
      )
  } finally {
    database.close()
  }
}

function explain(error: Error): string | undefined {
  const { code } = error as NodeJS.ErrnoException
  const isUsage = error instanceof Usage || code?.startsWith('ERR_PARSE_ARGS')
  if (isUsage || error instanceof Unusable || error instanceof ConfigError) return undefined
  return `The database is as it was: ${error.message}. Check that the disks that --help names have room.`
}

await runCommand({ name: 'compact', help: HELP, options: {}, main, explain })
