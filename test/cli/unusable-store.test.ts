import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'
import { base64, sealedStore } from '../helpers/sealed.ts'
import { typed } from '../helpers/typed.ts'

const cli = (name: string) => fileURLToPath(new URL(`../../src/cli/operate/${name}.ts`, import.meta.url))
const COMMANDS: Record<string, string[]> = {
  deliveries: ['list'],
  reseal: [],
  backup: ['copy.db'],
  move: ['--to', 'postgres://u:Zq9@127.0.0.1:9/d'],
  person: ['evt_1', 'ptp_1', '--export'],
}

/** For --import: root may open everything. */
const AS_NOBODY = 'data:text/javascript,if(!process.getuid()){process.setgid(65534);process.setuid(65534)}'

const ENV = { DATABASE_URL: 'sqlite:data/test.db', ENCRYPTION_KEY: base64(1) }

interface Said {
  readonly code: unknown
  readonly out: string
  readonly err: string
}

/** What each command says about that database, none of which may change a byte. */
async function expectSaid(
  make: (db: string) => unknown,
  words: RegExp,
  run: (folder: string, name: string, args: string[]) => Promise<Said>,
): Promise<void> {
  const folder = testFolder()
  chmodSync(folder, 0o755)
  mkdirSync(join(folder, 'data'))
  await make(join(folder, 'data', 'test.db'))
  const files = () => readdirSync(join(folder, 'data')).filter(name => !name.endsWith('-shm'))
  const bytes = () => files().map(name => [name, readFileSync(join(folder, 'data', name), 'base64')])
  const before = bytes()
  for (const [name, args] of Object.entries(COMMANDS)) {
    const { code, out, err } = await run(folder, name, args)
    expect([name, code, out]).toEqual([name, 1, ''])
    expect(err).toMatch(words)
    expect(err).not.toMatch(/Zq9|^ {4}at /m)
  }
  expect(bytes()).toEqual(before)
  expect(readdirSync(folder)).toEqual(['data'])
}

test.each<[what: string, make: (db: string) => void, words: RegExp]>([
  ['is missing', () => {}, /^There is no .*test\.db: check DATABASE_URL\./m],
  [
    'is not a database',
    db => writeFileSync(db, 'not a database, but long enough. '.repeat(300)),
    /test\.db cannot be used: not_a_database\. .* rm \S+test\.db /,
  ],
])('a database that %s: each command says so in words, and writes nothing', (_, make, words) =>
  expectSaid(make, words, (cwd, name, args) => typed(cli(name), args, { cwd, env: ENV })),
)

test('a database that may not be opened by this user: each command says so in words, and writes nothing', () =>
  expectSaid(
    async db => {
      await sealedStore({ kind: 'sqlite', path: db }, 1, 1)
      if (process.getuid?.() === 0) chownSync(db, 4711, 4711)
      chmodSync(db, 0)
    },
    /cannot be used: \S*cannot_open_database\S*\. Run this as the user of the app/,
    async (cwd, name, args) => {
      const child = node(['--import', AS_NOBODY, cli(name), ...args], { cwd, env: ENV })
      return { code: await child.ended, ...child.output }
    },
  ))

test('a database of another program is not copied, and not called the disk’s fault', async () => {
  const folder = testFolder()
  const path = join(folder, 'test.db')
  const other = new DatabaseSync(path)
  other.exec('create table invoices (id integer)')
  const env = { DATABASE_URL: 'sqlite:test.db' }
  const { code, err } = await typed(cli('backup'), ['copy.db'], { cwd: folder, env })
  expect([code, err]).toEqual([
    1,
    expect.stringMatching(/test\.db is no database of this app: check DATABASE_URL/),
  ])
  other.close()
  expect(readdirSync(folder)).toEqual(['test.db'])
})
