import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { openSealed } from '../../src/keys/open-sealed.ts'
import { countByKey } from '../../src/keys/sealing-keys.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import type { Database } from '../../src/storage/database.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { node } from '../helpers/child.ts'
import { testStore } from '../helpers/database.ts'
import { testFolder } from '../helpers/folder.ts'
import {
  base64,
  connectionsOf,
  idOf,
  saveConnections,
  saveFlow,
  sealedStore,
  sealerOf,
  settings,
  tokenSet,
} from '../helpers/sealed.ts'
import { typed } from '../helpers/typed.ts'

const CLI = fileURLToPath(new URL('../../src/cli/operate/reseal.ts', import.meta.url))
const [oldKey] = sealerOf(1).keys
const [newKey] = sealerOf(2).keys

/** The command as a process of its own; with keys, in that order: current, previous. */
const cli = (databaseUrl: string, keys: number[]) =>
  node([CLI], { cwd: testFolder(), env: environment(databaseUrl, keys) })

/** The same in this process. */
const reseal = (databaseUrl: string, keys: number[], args: string[] = []) =>
  typed(CLI, args, { env: environment(databaseUrl, keys) })

const environment = (databaseUrl: string, [current, previous]: number[]) => ({
  DATABASE_URL: databaseUrl,
  ...(current && { ENCRYPTION_KEY: base64(current) }),
  ...(previous && { ENCRYPTION_KEY_PREVIOUS: base64(previous) }),
})

/** A database with connections from before the change of the key, opened by an app that has both keys. */
async function rotated(connections: number): Promise<{ url: string; database: Database }> {
  const { store, url } = await testStore()
  await sealedStore(store, 1, connections)
  const { database } = await openSealed(settings(store, 2, 1), runtime)
  onTestFinished(() => database.close())
  return { url, database }
}

const counts = async ({ query }: Database) => Object.fromEntries(await countByKey(query, runtime))
const CAN_BE_REMOVED =
  '0 values left under the previous key: ENCRYPTION_KEY_PREVIOUS can be removed once every process has the new key\n'

test('reseal --help says the steps and does nothing', async () => {
  const path = join(testFolder(), 'none.db')
  const { code, out } = await reseal(`sqlite:${path}`, [], ['--help'])
  expect(code).toBe(0)
  expect(out).toMatch(/^Usage: npm run reseal\n/)
  expect(existsSync(path)).toBe(false)
})

test('reseal seals everything again with progress, and says that the previous key can be removed', async () => {
  const { url, database } = await rotated(120)
  await saveFlow(database.query, sealerOf(1), 'flow')
  const child = cli(url, [2, 1])
  expect(await child.ended).toBe(0)
  expect(child.output).toEqual({
    err: '',
    out: `241 values under another key than ENCRYPTION_KEY\n  141 left\n  41 left\n${CAN_BE_REMOVED}`,
  })
  expect(await counts(database)).toEqual({ [newKey]: 241 })
  const again = await reseal(url, [2, 1])
  expect([again.code, again.out.endsWith(CAN_BE_REMOVED)]).toEqual([0, true])
  const without = await reseal(url, [2])
  expect([without.code, without.out]).toEqual([
    0,
    expect.stringMatching(/0 values left under the previous key: ENCRYPTION_KEY_PREVIOUS is not set\n$/),
  ])
})

test('reseal beside an app that rotates tokens all the time loses none of its tokens', async () => {
  const { url, database } = await rotated(150)
  const connections = connectionsOf(database.query, sealerOf(2, 1))
  const child = cli(url, [2, 1])
  const generation = new Map<number, number>()
  let running = true
  void child.ended.then(() => {
    running = false
  })
  while (running)
    for (const n of [1, 49, 50, 51, 99, 100, 101, 149]) {
      await new Promise(setImmediate)
      const held = await connections.open(idOf(n))
      const next = (generation.get(n) ?? 0) + 1
      if (!held) return expect.unreachable()
      const store = await connections.refreshing(idOf(n), held.version)
      expect(await store(tokenSet(n, `access_${n}_${next}`, `refresh_${n}_${next}`))).toBe(true)
      generation.set(n, next)
    }
  expect([await child.ended, child.output.err]).toEqual([0, ''])
  expect(Math.min(...generation.values())).toBeGreaterThan(1)
  for (let n = 1; n <= 150; n++) {
    const latest = generation.has(n) ? `_${generation.get(n)}` : ''
    expect(await connectionsOf(database.query, sealerOf(2)).open(idOf(n))).toMatchObject({
      refreshToken: `refresh_${n}${latest}`,
    })
  }
  expect(await counts(database)).toEqual({ [newKey]: 300 })
})

test('after a reseal that was killed in the middle everything still opens, and the next run finishes', async () => {
  const { url, database } = await rotated(1500)
  const child = cli(url, [2, 1])
  await child.says(' left')
  child.process.kill('SIGKILL')
  expect(await child.ended).toBe('SIGKILL')
  const between = await counts(database)
  expect(between).toEqual({ [oldKey]: expect.any(Number), [newKey]: expect.any(Number) })
  const again = await reseal(url, [2, 1])
  expect([again.code, again.out.endsWith(CAN_BE_REMOVED)]).toEqual([0, true])
  const connections = connectionsOf(database.query, sealerOf(2))
  for (let n = 1; n <= 1500; n += 17)
    expect(await connections.open(idOf(n))).toMatchObject({ refreshToken: `refresh_${n}`, version: 1 })
})

test('reseal says which connection is damaged, by its event, without a value', async () => {
  const { url, database } = await rotated(2)
  await database.query
    .updateTable('connections')
    .set(eb => ({ access_token: eb.ref('refresh_token') }))
    .where('event_id', '=', 'evt_1')
    .execute()
  const child = cli(url, [2, 1])
  expect(await child.ended).toBe(0)
  expect(child.output.err).toMatch(/"event_id":"evt_1".*damaged/)
  expect(child.output.err.trim().split('\n')).toHaveLength(1)
  expect(child.output.out).toContain(CAN_BE_REMOVED)
})

test('reseal leaves values that an app with the old key alone writes meanwhile: exit 1, with the reason', async () => {
  const { url, database } = await rotated(1500)
  const child = cli(url, [2, 1])
  await child.says(' left')
  await saveConnections(database.query, sealerOf(1), 1)
  expect(await child.ended).toBe(1)
  expect(child.output.out).toMatch(
    /2 values left under the previous key: an app that still has the old ENCRYPTION_KEY/,
  )
  expect(child.output.out).not.toContain('can be removed')
})

const REFUSALS: [string, number[], RegExp][] = [
  ['a key that is not of this database', [3, 4], /^ENCRYPTION_KEY is not the key of this database/],
  ['no previous key while values need it', [2], /^ENCRYPTION_KEY is not the key of this database: 4 values/],
  [
    'a new key that the app has not started with',
    [3, 2],
    /^ENCRYPTION_KEY is not the key of this database: 4 values/,
  ],
]

test.each(REFUSALS)('reseal refuses %s', async (_, keys, message) => {
  const { url, database } = await rotated(2)
  const rows = () => database.query.selectFrom('connections').selectAll().orderBy('event_id').execute()
  const before = await rows()
  const { code, out, err } = await reseal(url, keys)
  expect([code, out]).toEqual([1, ''])
  expect(err).toMatch(message)
  expect(await rows()).toEqual(before)
  expect(await counts(database)).toEqual({ [oldKey]: 4 })
})

test('reseal refuses to be ahead of the app, which could read nothing afterwards', async () => {
  const { store, url } = await testStore()
  await sealedStore(store, 1, 2)
  const { code, err } = await reseal(url, [2, 1])
  expect(code).toBe(1)
  expect(err).toMatch(/^The app does not use this ENCRYPTION_KEY yet: restart every instance/)
  const database = await openDatabase(store, runtime)
  onTestFinished(() => database.close())
  expect(await counts(database)).toEqual({ [oldKey]: 4 })
})

test('reseal makes no database and no key file where there is none', async () => {
  const path = join(testFolder(), 'data', 'none.db')
  const { code, err } = await reseal(`sqlite:${path}`, [])
  expect(code).toBe(1)
  expect(err).toMatch(/^There is no .*none\.db: check DATABASE_URL\.\n$/)
  expect(existsSync(join(path, '..'))).toBe(false)
})

test('reseal explains a wrong setting or flag without a stack', async () => {
  const wrong = await typed(CLI, [], { env: { ENCRYPTION_KEY: 'short' } })
  expect(wrong.code).toBe(1)
  expect(wrong.err).toMatch(/^1 setting is missing or wrong:\n {2}ENCRYPTION_KEY/)
  const flag = await reseal('sqlite:x', [], ['--dry-run'])
  expect(flag.code).toBe(1)
  expect(flag.err).toMatch(/^Unknown option '--dry-run'/)
  expect(flag.err).not.toMatch(/^ {4}at /m)
})
