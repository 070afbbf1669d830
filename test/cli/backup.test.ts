import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { openSealed } from '../../src/keys/open-sealed.ts'
import { systemRuntime as runtime, systemRuntime } from '../../src/process/runtime.ts'
import { createInbox } from '../../src/webhooks/inbox/inbox.ts'
import { node } from '../helpers/child.ts'
import { testFile } from '../helpers/database.ts'
import { testFolder } from '../helpers/folder.ts'
import { connectionsOf, idOf, sealedStore, sealerOf, settings } from '../helpers/sealed.ts'
import { typed } from '../helpers/typed.ts'
import { NO_BACKLOG } from '../webhooks/dispatch/dispatching.ts'

const CLI = fileURLToPath(new URL('../../src/cli/operate/backup.ts', import.meta.url))
const run = (databaseUrl: string, ...args: string[]) =>
  node([CLI, ...args], { cwd: testFolder(), env: { DATABASE_URL: databaseUrl } })

test('under load: a whole database of one moment, with everything acknowledged before it', async () => {
  const database = await testFile()
  const inbox = createInbox(database, NO_BACKLOG, () => {}, systemRuntime)
  const ended = new AbortController()
  let acknowledged = 0
  const append = async () => {
    while (!ended.signal.aborted) {
      const envelope = { id: `e${acknowledged}`, type: 't', eventId: null, organizationId: null }
      const body = Buffer.alloc(500)
      await inbox.append({
        provider: 'revento',
        platform: 'real',
        deliveryId: null,
        envelope,
        receivedAt: 0,
        body,
      })
      acknowledged++
    }
  }
  const load = Array.from({ length: 8 }, append)
  const file = join(testFolder(), 'copy.db')
  while (acknowledged < 500) await new Promise(setImmediate)
  const before = acknowledged
  const child = run(`sqlite:${database.path}`, file)
  expect([await child.ended, child.output.err]).toEqual([0, ''])
  const after = acknowledged
  ended.abort()
  await Promise.all(load)
  const copy = new DatabaseSync(file, { readOnly: true })
  const stored = Number(copy.prepare('select count(*) n from inbox').get()?.['n'])
  copy.close()
  expect(stored).toBeGreaterThanOrEqual(before)
  expect(stored).toBeLessThanOrEqual(after + 8)
  expect(child.output.out).toContain(`${stored} deliveries, 0 connections`)
  expect((statSync(file).mode & 0o777).toString(8)).toBe('600')
  expect(readdirSync(dirname(file))).toEqual(['copy.db'])
})

test('a backup is a database: the app opens it with the same key, and its tokens', async () => {
  const path = join(testFolder(), 'test.db')
  await sealedStore({ kind: 'sqlite', path }, 1, 2)
  const file = join(testFolder(), 'copy.db')
  expect(await run(`sqlite:${path}`, file).ended).toBe(0)
  const { database } = await openSealed(settings({ kind: 'sqlite', path: file }, 1), runtime)
  const held = await connectionsOf(database.query, sealerOf(1)).open(idOf(2))
  await database.close()
  expect(held).toMatchObject({ accessToken: 'access_2', refreshToken: 'refresh_2' })
})

test.for([
  ['no file named', [], /^Give one FILE/],
  ['a file that exists', ['there'], /exists already: give another name/],
  [
    'a folder that is not there',
    ['no/such/folder/copy.db'],
    /^No backup was made: .*Check that the folder is there/,
  ],
  ['a flag that nobody knows', ['--all', 'x'], /^Unknown option '--all'/],
] as const)('%s is explained, and nothing is written', async ([, args, message]) => {
  const { path } = await testFile()
  const cwd = testFolder()
  writeFileSync(join(cwd, 'there'), 'mine')
  const { code, err } = await typed(CLI, args, { cwd, env: { DATABASE_URL: `sqlite:${path}` } })
  expect(code).toBe(1)
  expect(err).toMatch(message)
  expect(err).not.toMatch(/^ {4}at /m)
  expect(readdirSync(cwd)).toEqual(['there'])
})

test('a database that is not there is not made', async () => {
  const path = join(testFolder(), 'none.db')
  const { code, err } = await typed(CLI, ['copy.db'], { env: { DATABASE_URL: `sqlite:${path}` } })
  expect([code, err]).toEqual([1, expect.stringMatching(/^There is no .*none\.db/)])
  expect(existsSync(path)).toBe(false)
})
