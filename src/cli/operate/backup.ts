import { closeSync, existsSync, openSync, renameSync, rmSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import { print, readSettings, runCommand, Unusable, Usage } from '../command.ts'
import { onStore, openOurs, sqliteFile } from '../store.ts'

const HELP = `Usage: npm run backup -- FILE

Copies the SQLite database of DATABASE_URL, as it is at one moment, into FILE, while the app runs and under load.
The copy is checked before it gets its name. Keep ENCRYPTION_KEY (or the file encryption.key) elsewhere: without it the
tokens in a backup are of no use to anyone. For PostgreSQL use pg_dump.
`

/** The copy is one step: between two steps a write of the app would make it begin again, and never end under load. */
const ALL_PAGES = 0x7fff_ffff

async function main([given, ...more]: string[]): Promise<number> {
  if (given === undefined || more.length > 0) throw new Usage('Give one FILE to write to.')
  const file = resolve(given)
  const store = sqliteFile(readSettings().store, 'use pg_dump')
  if (existsSync(file)) throw new Usage(`${file} exists already: give another name, or remove it.`)
  const source = await onStore(store, () => openOurs(store.path, true))
  const draft = `${file}.part`
  try {
    // The draft is its owner's only from its first byte on, and never a file of another program.
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

/** Reads every page of the copy. */
function check(path: string): string {
  const copy = new DatabaseSync(path)
  try {
    // A backup has no log beside it, since it is moved about as one file.
    copy.exec('pragma journal_mode = delete')
    const [verdict] = Object.values(copy.prepare('pragma integrity_check').get() ?? {})
    if (verdict !== 'ok') throw new Usage(`The copy is damaged, and so the database may be: ${verdict}`)
    const count = (table: string) => copy.prepare(`select count(*) n from ${table}`).get()?.['n']
    return `${count('deliveries')} deliveries, ${count('connections')} connections`
  } finally {
    copy.close()
  }
}

await runCommand({
  name: 'backup',
  help: HELP,
  options: {},
  takesWords: true,
  main: (_values, words) => main(words),
  explain: error =>
    error instanceof Unusable
      ? `No backup was made. ${error.message}`
      : `No backup was made: ${error.message}. Check that the folder is there, writable and has room.`,
})
