import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openSealed } from '../../src/keys/open-sealed.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { storageAdvice } from '../../src/storage/advice.ts'
import { node } from '../helpers/child.ts'
import { onFile } from '../helpers/database.ts'
import { makeFolder, testFolder } from '../helpers/folder.ts'
import { freePort } from '../helpers/ports.ts'
import { MAIN, slowness } from '../helpers/program.ts'
import { base64, settings } from '../helpers/sealed.ts'

/** Two databases of the app to be damaged: one that was closed, and one as a kill leaves it, its log full. */
const made = makeFolder()
const CLOSED = join(made.path, 'closed')
const KILLED = join(made.path, 'killed')
afterAll(() => made.remove())
beforeAll(async () => {
  const path = join(made.path, 'open', 'test.db')
  const { database } = await openSealed(settings({ kind: 'sqlite', path }, 1), runtime)
  await onFile(database, file => file.exec(MANY_ROWS))
  cpSync(join(made.path, 'open'), KILLED, { recursive: true })
  await database.close()
  cpSync(join(made.path, 'open'), CLOSED, { recursive: true })
})
const MANY_ROWS = `insert into participants
  (platform, event_id, organization_id, participant_id, last_type, occurred_at, last_delivery, updated_at)
  with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000) select 'real', 'evt', 'org', 'ptp_' || i, 't', '', 0, 0 from n`

/** Every byte but those of the log's index, which also a reader makes; an empty log holds nothing. */
function contents(folder: string): Record<string, string> {
  const files = readdirSync(folder, { withFileTypes: true }).map(entry => {
    const path = join(folder, entry.name)
    return [entry.name, entry.isFile() ? readFileSync(path, 'base64') : 'no file'] as const
  })
  return Object.fromEntries(
    files.filter(([name, bytes]) => !name.endsWith('-shm') && !(name.endsWith('-wal') && bytes === '')),
  )
}

/** For --import: root may open everything, so it becomes somebody else. */
const AS_NOBODY = 'data:text/javascript,if(!process.getuid()){process.setgid(65534);process.setuid(65534)}'
const NOBODY = 65534

async function start(folder: string, args: string[] = []) {
  const [PORT, SANDBOX_PORT] = [String(await freePort()), String(await freePort())]
  const env = { PORT, SANDBOX_PORT, DATABASE_URL: 'sqlite:data/test.db', ENCRYPTION_KEY: base64(1) }
  return node([...args, MAIN], { cwd: folder, env })
}

const withSql = (sql: string) => (db: string) => {
  const file = new DatabaseSync(db)
  file.exec(sql)
  file.close()
}

type Row = [name: string, from: string, damage: (db: string) => void, words: RegExp]
const GARBAGE = Buffer.alloc(4096, 0xa5)
const BACKUP_BACK = /put a backup back after: rm \S+test\.db \S+-wal \S+-shm\n$/

const ROWS: Row[] = [
  ['deleted, its log left', KILLED, db => rmSync(db), /test\.db is gone or empty, but its log .* rm \S+-wal/],
  ['emptied, its log left', KILLED, db => truncateSync(db), /is gone or empty, but its log .* rm \S+-wal/],
  [
    'a backup beside the log of what was there before',
    KILLED,
    db => {
      copyFileSync(join(CLOSED, 'test.db'), db)
      withSql('pragma journal_mode = delete')(renamed(db))
      renameSync(`${db}.alone`, db)
    },
    /The log \S+test\.db-wal belongs to another database .* rm \S+-wal \S+-shm/,
  ],
  [
    'a link to nothing',
    CLOSED,
    db => {
      rmSync(db)
      symlinkSync('/nowhere/test.db', db)
    },
    /is a link to what is not there: mount/,
  ],
  [
    'random bytes',
    CLOSED,
    db => writeFileSync(db, Buffer.alloc(9000, 7)),
    /not_a_database.*\n?.*backup back/,
  ],
  ['a web page', CLOSED, db => writeFileSync(db, '<html></html>\n'.repeat(999)), BACKUP_BACK],
  ['its header overwritten', CLOSED, db => overwrite(db, 0), BACKUP_BACK],
  [
    'a page in the middle overwritten',
    CLOSED,
    db => overwrite(db, Math.floor(statSync(db).size / 8192)),
    BACKUP_BACK,
  ],
  ['cut in half', CLOSED, db => truncateSync(db, statSync(db).size / 2), BACKUP_BACK],
  [
    'a folder',
    CLOSED,
    db => {
      rmSync(db)
      mkdirSync(db)
    },
    /cannot_open_database_EISDIR\. Check DATABASE_URL/,
  ],
  ['without a table', CLOSED, withSql('drop table attempts'), /has no table attempts: .*Put a backup back/],
  [
    'without a column',
    CLOSED,
    withSql('drop view inbox; alter table outcomes drop column crashes'),
    /has no column outcomes\.crashes: .*Put a backup back/,
  ],
  [
    'without a migration in between',
    CLOSED,
    withSql(`delete from kysely_migration where name like '003%'`),
    /does not say that it has migration 003-\S+, .*Put a backup back/,
  ],
  [
    'of a newer program',
    CLOSED,
    withSql(`insert into kysely_migration values ('999-later', '2030-01-01T00:00:00.000Z')`),
    /has schema 999-later, .* Start the newer version, or restore a backup/,
  ],
  [
    'of another program',
    CLOSED,
    db => {
      rmSync(db)
      withSql('create table invoices (id integer); insert into invoices values (1)')(db)
    },
    /belongs to another program: it has the table invoices\. Check DATABASE_URL/,
  ],
]

const IN_A_PROCESS = ['a page in the middle overwritten', 'of another program']

function renamed(db: string): string {
  renameSync(db, `${db}.alone`)
  return `${db}.alone`
}

function overwrite(db: string, page: number): void {
  const bytes = readFileSync(db)
  GARBAGE.copy(bytes, page * 4096)
  writeFileSync(db, bytes)
}

/** What the program would print, without a process for each. */
async function said(data: string): Promise<string> {
  const store = { kind: 'sqlite', path: join(data, 'test.db') } as const
  const error = await openSealed(settings(store, 1), runtime).then(
    () => new Error('it was opened'),
    failed => failed as unknown,
  )
  return `${storageAdvice(error, store) ?? String(error)}\n`
}

describe('a database that is not as it was left is refused with what to type, and no byte is changed:', () => {
  test.each(ROWS)(
    'a database is refused with what to type, and stays as it is: %s',
    async (_, from, damage, words) => {
      const data = join(testFolder(), 'data')
      cpSync(from, data, { recursive: true })
      damage(join(data, 'test.db'))
      const before = contents(data)
      expect(await said(data)).toMatch(words)
      expect(contents(data)).toEqual(before)
    },
  )

  // Again where it failed: how slow the machine is changes from one moment to the next.
  test.each(ROWS.filter(([name]) => IN_A_PROCESS.includes(name)))(
    'and the program, %s, ends with 1 within 2 s and makes nothing',
    { retry: 2 },
    async (_, from, damage, words) => {
      const folder = testFolder()
      const data = join(folder, 'data')
      cpSync(from, data, { recursive: true })
      damage(join(data, 'test.db'))
      const before = contents(data)
      const limit = 2_000 * (await slowness())
      const begun = performance.now()
      const child = await start(folder)
      const code = await child.ended
      const took = performance.now() - begun
      expect([code, child.output.out, child.output.err]).toEqual([1, '', expect.stringMatching(words)])
      expect(child.output.err).not.toMatch(/\n +at /)
      expect(contents(data)).toEqual(before)
      expect(took).toBeLessThan(limit)
    },
  )
})

test('a migration that adds a column, is not noted and was done, is not done again over what is there', async () => {
  const folder = testFolder()
  cpSync(CLOSED, join(folder, 'data'), { recursive: true })
  const db = join(folder, 'data', 'test.db')
  // And those after it, which would be missing between.
  withSql(`delete from kysely_migration where name >= '018'`)(db)
  expect(await said(join(folder, 'data'))).toMatch(
    /migration_failed\. .*Nothing was changed: put a backup back\.\n$/,
  )
  const file = new DatabaseSync(db, { readOnly: true })
  expect(file.prepare('select count(*) n from participants').get()).toEqual({ n: 5000 })
  file.close()
})

test('for a user who may not write in the folder it is refused with the chown to type', async () => {
  const folder = testFolder()
  const data = join(folder, 'data')
  cpSync(CLOSED, data, { recursive: true })
  chmodSync(folder, 0o755)
  if (process.getuid?.() === 0)
    for (const path of [data, ...readdirSync(data).map(name => join(data, name))])
      chownSync(path, NOBODY, NOBODY)
  chmodSync(data, 0o555)
  const before = process.getuid?.() === 0 ? contents(data) : undefined
  const child = await start(folder, ['--import', AS_NOBODY])
  expect([await child.ended, child.output.out]).toEqual([1, ''])
  expect(child.output.err).toMatch(/data belongs to/)
  expect(child.output.err).toMatch(/^ {2}sudo chown -R \d+:\d+ \S+data$/m)
  if (before) expect(contents(data)).toEqual(before)
  chmodSync(data, 0o755)
})

// prlimit is of Linux.
test.skipIf(process.platform !== 'linux')(
  'a disk that is full at the first start is named; with room again it starts',
  async () => {
    const folder = testFolder()
    const limited =
      'data:text/javascript,import{execFileSync as x}from"node:child_process";x("prlimit",["--pid",process.pid,"--fsize=6000:unlimited"])'
    const child = await start(folder, ['--import', limited])
    expect([await child.ended, child.output.out]).toEqual([1, ''])
    expect(child.output.err).toMatch(/cannot be used: disk_(full|io_error)\. (Make room on|Its disk)/)
    const again = await start(folder)
    await again.says('Ready: open')
  },
)

test('two starts on one file beside each other both run: only their ports must differ', async () => {
  const folder = testFolder()
  const both = [await start(folder), await start(folder)]
  for (const child of both) await child.says('Ready: open')
  for (const child of both) child.process.kill('SIGTERM')
  expect(await Promise.all(both.map(child => child.ended))).toEqual([0, 0])
  expect(existsSync(join(folder, 'data', 'test.db-wal'))).toBe(false)
})
