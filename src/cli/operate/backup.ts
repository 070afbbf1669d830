import { closeSync, existsSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import { ConfigError, loadConfig, readEnvironment } from '../../config/settings.ts'
import { onStore, print, runCommand, Unusable, Usage } from '../command.ts'

const HELP = `Usage: npm run backup -- FILE

Copies the SQLite database of DATABASE_URL, as it is at one moment, into FILE, beside the running app and under load.
The copy is checked before it gets its name. Keep ENCRYPTION_KEY (or the file encryption.key) elsewhere: without it the
tokens in a backup are of no use, to anybody. For PostgreSQL use pg_dump.
`

/** In one step: between two steps a write by the app would make the copy begin again, and under load never end. */
const ALL_PAGES = 0x7fff_ffff

async function main([given, ...more]: string[]): Promise<number> {
  if (given === undefined || more.length > 0) throw new Usage('Give one FILE to write to.')
  const file = resolve(given)
  const { store } = loadConfig(readEnvironment({}))
  if (store.kind !== 'sqlite') throw new Usage('DATABASE_URL is a PostgreSQL: use pg_dump.')
  if (!existsSync(store.path)) throw new Usage(`There is no ${store.path}: check DATABASE_URL.`)
  if (existsSync(file)) throw new Usage(`${file} exists already: give another name, or remove it.`)
  const source = await onStore(store, () => openWhole(store.path))
  const draft = `${file}.part`
  try {
    // For its owner only, from the first byte; a draft that somebody else put there is not written into.
    rmSync(draft, { force: true })
    closeSync(openSync(draft, 'wx', 0o600))
    await backup(source, draft, { rate: ALL_PAGES })
    const counts = check(draft)
    renameSync(draft, file)
    print(`${file}: ${counts}, ${Math.ceil(statSync(file).size / 1024)} KiB`)
    return 0
  } finally {
    source.close()
    for (const rest of ['', '-wal', '-shm', '-journal']) rmSync(`${draft}${rest}`, { force: true })
  }
}

/** Opening reads nothing yet. */
function openWhole(path: string): DatabaseSync {
  const source = new DatabaseSync(path, { readOnly: true, timeout: 8_000 })
  try {
    const tables = source.prepare('select name from sqlite_schema').all()
    if (tables.some(({ name }) => name === 'inbox')) return source
    throw new Usage(`${path} is no database of this app: check DATABASE_URL.`)
  } catch (error) {
    source.close()
    throw error
  }
}

/** Reads every page of the copy. */
function check(path: string): string {
  const copy = new DatabaseSync(path)
  try {
    // In one file: a backup is moved about without what stands beside it.
    copy.exec('pragma journal_mode = delete')
    const [verdict] = Object.values(copy.prepare('pragma integrity_check').get() ?? {})
    if (verdict !== 'ok') throw new Usage(`The copy is damaged, and so the database may be: ${verdict}`)
    const count = (table: string) => copy.prepare(`select count(*) n from ${table}`).get()?.['n']
    return `${count('inbox')} deliveries, ${count('connections')} connections`
  } finally {
    copy.close()
  }
}

function explain(error: Error): string | undefined {
  if (error instanceof Unusable) return `No backup was made. ${error.message}`
  const { code } = error as NodeJS.ErrnoException
  if (error instanceof Usage || error instanceof ConfigError || code?.startsWith('ERR_PARSE_ARGS'))
    return undefined
  return `No backup was made: ${error.message}. Check that the folder is there, writable and has room.`
}

await runCommand({
  name: 'backup',
  help: HELP,
  options: {},
  takesWords: true,
  main: (_values, words) => main(words),
  explain,
})
