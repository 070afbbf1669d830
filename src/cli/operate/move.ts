import { DatabaseSync } from 'node:sqlite'
import type { Config } from '../../config/settings.ts'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { type Copied, copyStore, firstFilled } from '../../storage/copy-store.ts'
import { type PostgresStore, type SqliteStore, storeName } from '../../storage/database.ts'
import { openPostgres, patientPostgres } from '../../storage/postgres/database.ts'
import { openSqlite } from '../../storage/sqlite/database.ts'
import { print, readSettings, runCommand, stackOf, Unusable, Usage } from '../command.ts'
import { onStore, sqliteFile } from '../store.ts'

const HELP = `Usage: npm run move -- --to postgres://USER:PASSWORD@HOST/DATABASE

Copies the SQLite database of DATABASE_URL into an empty PostgreSQL database, all of it or nothing, and compares the
counts. The SQLite file stays as it is.

  1. Stop the app.
  2. npm run move -- --to postgres://…
  3. Set DATABASE_URL to that URL, and ENCRYPTION_KEY to the same key as before; start the app.
`

async function main(to: string | undefined): Promise<number> {
  const config = readSettings()
  const store = sqliteFile(config.store, 'there is nothing to move')
  const target = targetOf(to)
  // Brings the file to the schema that the new database will have.
  await onStore(store, async () => (await openSqlite(store.path, runtime)).close())
  const source = lock(store)
  try {
    await onStore(target, () => move(source, store, target))
  } finally {
    source.close()
  }
  print(nextSteps(config, target))
  return 0
}

function targetOf(url: string | undefined): PostgresStore {
  if (url === undefined) throw new Usage('--to is missing.')
  if (!/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url))
    throw new Usage('--to takes a URL like postgres://USER:PASSWORD@HOST/DATABASE.')
  return { kind: 'postgres', url }
}

/** Locks the file against every other program: an app that runs would go on writing to it. */
function lock({ path }: SqliteStore): DatabaseSync {
  const source = new DatabaseSync(path, { timeout: 1_000 })
  try {
    // Refused while another connection is open.
    source.exec('pragma journal_mode = delete')
    source.exec('begin exclusive')
    return source
  } catch (error) {
    source.close()
    throw new Usage('The app is still running on this database: stop it first.', { cause: error })
  }
}

async function move(source: DatabaseSync, from: SqliteStore, to: PostgresStore): Promise<void> {
  await (await openPostgres(to, runtime)).close()
  const target = patientPostgres(to.url, runtime)
  try {
    const filled = await firstFilled(target)
    if (filled)
      throw new Usage(`${storeName(to)} is not empty: its table ${filled} has rows. Give an empty database.`)
    print(`${storeName(from)} -> ${storeName(to)}`)
    const copied = await copyStore(source, target, createProgress())
    for (const { table, rows } of copied) print(`  ${table}: ${rows} rows`)
    compare(source, copied)
  } finally {
    await target.destroy()
  }
}

/** Prints a line for each ten thousand rows of a table. */
function createProgress() {
  const printed = new Map<string, number>()
  return ({ table, rows }: Copied) => {
    if (rows - (printed.get(table) ?? 0) < 10_000) return
    printed.set(table, rows)
    print(`  ${table}: ${rows} so far`)
  }
}

function compare(source: DatabaseSync, copied: readonly Copied[]): void {
  for (const { table, rows } of copied) {
    const n = source.prepare(`select count(*) n from "${table}"`).get()?.['n']
    if (n !== rows)
      throw new Usage(`${table} has ${n} rows, and ${rows} were copied: empty the target and try again.`)
  }
}

const nextSteps = ({ encryptionKey, keyFile }: Config, target: PostgresStore) =>
  [
    `Everything was copied. Now set DATABASE_URL to ${storeName(target)}, with its user and password,`,
    encryptionKey ? 'keep ENCRYPTION_KEY as it is,' : `set ENCRYPTION_KEY to what is in ${keyFile},`,
    'and start the app.',
  ].join('\n')

await runCommand({
  name: 'move',
  help: HELP,
  options: { to: { type: 'string' } },
  main: ({ to }) => main(to),
  explain: error =>
    `Nothing was moved${error instanceof Unusable ? `. ${error.message}` : `: ${stackOf(error)}`}`,
})
