import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { node } from '../helpers/child.ts'
import { testFolder } from '../helpers/folder.ts'
import { base64, sealedStore } from '../helpers/sealed.ts'

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

type Row = [what: string, make: (db: string) => unknown, said: RegExp, args?: string[]]
const ROWS: Row[] = [
  ['is missing', () => {}, /^There is no .*test\.db: check DATABASE_URL\./m],
  [
    'is not a database',
    db => writeFileSync(db, 'not a database, but long enough. '.repeat(300)),
    /test\.db cannot be used: not_a_database\. .* rm \S+test\.db /,
  ],
  [
    'may not be opened by this user',
    async db => {
      await sealedStore({ kind: 'sqlite', path: db }, 1, 1)
      if (process.getuid?.() === 0) chownSync(db, 4711, 4711)
      chmodSync(db, 0)
    },
    /cannot be used: \S*cannot_open_database\S*\. Run this as the user of the app/,
    ['--import', AS_NOBODY],
  ],
]

test.each(ROWS)(
  'a database that %s: each command says so in words, and writes nothing',
  async (_, make, said, args) => {
    const folder = testFolder()
    chmodSync(folder, 0o755)
    mkdirSync(join(folder, 'data'))
    const db = join(folder, 'data', 'test.db')
    await make(db)
    const files = () => readdirSync(join(folder, 'data')).filter(name => !name.endsWith('-shm'))
    const bytes = () => files().map(name => [name, readFileSync(join(folder, 'data', name), 'base64')])
    const before = bytes()
    const env = { DATABASE_URL: 'sqlite:data/test.db', ENCRYPTION_KEY: base64(1) }
    const children = Object.entries(COMMANDS).map(([name, rest]) =>
      node([...(args ?? []), cli(name), ...rest], { cwd: folder, env }),
    )
    for (const child of children) {
      expect([await child.ended, child.output.out]).toEqual([1, ''])
      expect(child.output.err).toMatch(said)
      expect(child.output.err).not.toMatch(/Zq9|^ {4}at /m)
    }
    expect(bytes()).toEqual(before)
    expect(readdirSync(folder)).toEqual(['data'])
  },
)

test('a database of another program is not copied, and not called the disk’s fault', async () => {
  const folder = testFolder()
  const path = join(folder, 'test.db')
  const other = new DatabaseSync(path)
  other.exec('create table invoices (id integer)')
  const child = node([cli('backup'), 'copy.db'], { cwd: folder, env: { DATABASE_URL: 'sqlite:test.db' } })
  expect([await child.ended, child.output.err]).toEqual([
    1,
    expect.stringMatching(/test\.db is no database of this app: check DATABASE_URL/),
  ])
  other.close()
  expect(readdirSync(folder)).toEqual(['test.db'])
})
