import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { openSealed } from '../../src/keys/open-sealed.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { copyStore } from '../../src/storage/copy-store.ts'
import type { Queries } from '../../src/storage/database.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { postgresError } from '../../src/storage/postgres/error.ts'
import { openSqlite } from '../../src/storage/sqlite/database.ts'
import { keysOf } from '../../src/webhooks/inbox/dedupe.ts'
import { createDeliveries } from '../../src/webhooks/inbox/deliveries.ts'
import { node } from '../helpers/child.ts'
import { newPostgres } from '../helpers/database.ts'
import { insertDelivery } from '../helpers/deliveries.ts'
import { testFolder } from '../helpers/folder.ts'
import { connectionsOf, idOf, saveFlow, sealedStore, sealerOf, settings } from '../helpers/sealed.ts'
import { onEachStatement } from '../helpers/statements.ts'
import { typed } from '../helpers/typed.ts'

const file = (path: string) => fileURLToPath(new URL(`../../src/cli/operate/${path}`, import.meta.url))
const ROWS = 1_203

/** A SQLite database with connections, a flow and many deliveries; the last one has been removed again. */
async function filled(): Promise<string> {
  const path = join(testFolder(), 'test.db')
  await sealedStore({ kind: 'sqlite', path }, 1, 3)
  const { query, close } = await openSqlite(path, runtime)
  await saveFlow(query, sealerOf(1), 'flow')
  const ids = Array.from({ length: ROWS + 1 }, (_, i) => i + 1)
  for (let i = 0; i < ids.length; i += 400) await deliver(query, ids.slice(i, i + 400))
  for (const table of ['outcomes', 'deliveries'] as const)
    await query
      .deleteFrom(table)
      .where('id', '=', ROWS + 1)
      .execute()
  await query
    .updateTable('connections')
    .set({ refresh_not_before: 12.5 })
    .where('event_id', '=', 'evt_1')
    .execute()
  await close()
  return path
}

async function deliver(query: Queries, ids: readonly number[]): Promise<void> {
  const keyed = ids.map(id => ({
    ...{ id, provider: 'revento', platform: 'real' as const },
    ...{ delivery_id: `d${id}`, envelope_id: `e${id}` },
  }))
  const of = { event_id: 'evt_1', organization_id: 'org_1' }
  const rows = keyed.map(row => ({
    ...{ ...row, ...of, type: 't', received_at: row.id, body: Buffer.from([0, 255, row.id % 256]) },
  }))
  await query.insertInto('deliveries').values(rows).execute()
  const outcome = { ...of, platform: 'real', state: 'done', attempts: 1, next_at: 0 } as const
  const outcomes = ids.map(id => ({ ...outcome, id, finished_at: id }))
  await query.insertInto('outcomes').values(outcomes).execute()
  const keys = keyed.map(row => ({ key: keysOf(row).envelope, inbox_id: row.id }))
  await query.insertInto('delivery_keys').values(keys).execute()
}

const move = (path: string, to: string) =>
  node([file('move.ts'), '--to', to], { cwd: testFolder(), env: { DATABASE_URL: `sqlite:${path}` } })

/** The same without a process of its own. */
const moveHere = (path: string, to: string) =>
  typed(file('move.ts'), ['--to', to], { env: { DATABASE_URL: `sqlite:${path}` } })

async function target() {
  const made = await newPostgres()
  onTestFinished(() => made.drop())
  return made
}

test('moves every row, with its numbers, bytes and tokens; new numbers go on after the old', async () => {
  const [path, to] = [await filled(), await target()]
  const child = move(path, to.url)
  expect([await child.ended, child.output.err]).toEqual([0, ''])
  for (const said of [
    'connections: 3 rows',
    'flows: 1 rows',
    `deliveries: ${ROWS} rows`,
    `outcomes: ${ROWS} rows`,
    `delivery_keys: ${ROWS + 1} rows`,
  ])
    expect(child.output.out).toContain(said)
  const { database } = await openSealed(settings(to.store, 1), runtime)
  onTestFinished(() => database.close())
  const rows = await database.query.selectFrom('inbox').selectAll().orderBy('id').execute()
  expect(rows.map(row => row.id)).toEqual(Array.from({ length: ROWS }, (_, i) => i + 1))
  expect([...(rows[299]?.body ?? [])]).toEqual([0, 255, 300 % 256])
  expect(await createDeliveries(database.query).locate('e77', ['revento'])).toBe('77')
  expect(await connectionsOf(database.query, sealerOf(1)).open(idOf(2))).toMatchObject({
    accessToken: 'access_2',
  })
  expect(await insertDelivery(database.query)).toBe(ROWS + 2)
})

test('large bodies are copied by their bytes: no statement holds more than a few of them', async () => {
  const [path, to] = [await filled(), await target()]
  const source = new DatabaseSync(path)
  onTestFinished(() => source.close())
  source.exec('update deliveries set body = zeroblob(1048576) where id <= 20')
  const { query, close } = await openDatabase(to.store, runtime)
  onTestFinished(() => close())
  const bytes: number[] = []
  const watched = onEachStatement(query, ({ parameters }) => {
    const sizes = parameters.map(value => (value instanceof Uint8Array ? value.length : 0))
    bytes.push(sizes.reduce((a, b) => a + b, 0))
  })
  const copied = await copyStore(source, watched, () => {})
  expect(copied).toContainEqual({ table: 'deliveries', rows: ROWS })
  expect(Math.max(...bytes)).toBeLessThanOrEqual(4 * 1024 * 1024)
})

test('what pg cannot write down is not called an unreachable server', () => {
  const tooLarge = new RangeError('Invalid string length')
  expect(postgresError(tooLarge)).toBe(tooLarge)
  expect(postgresError(new Error('Connection terminated unexpectedly'))).toMatchObject({
    code: 'database_unreachable',
  })
})

test('a target with rows is refused, and stays as it is', async () => {
  const [path, to] = [await filled(), await target()]
  expect((await moveHere(path, to.url)).code).toBe(0)
  const again = await moveHere(path, to.url)
  expect([again.code, again.err]).toEqual([1, expect.stringContaining('is not empty: its table flows')])
})

test('while the app runs on the file nothing is moved', async () => {
  const [path, to] = [await filled(), await target()]
  const app = await openSqlite(path, runtime)
  onTestFinished(() => app.close())
  await app.probe()
  const child = move(path, to.url)
  expect([await child.ended, child.output.err]).toEqual([1, expect.stringContaining('still running')])
  await app.probe()
})

test('a server that does not answer: nothing was moved, and no password is printed', async () => {
  const { code, out, err } = await moveHere(
    await filled(),
    'postgres://someone:canary-password@127.0.0.1:9/x',
  )
  expect([code, err]).toEqual([1, expect.stringContaining('database_unreachable')])
  expect(err + out).not.toContain('canary')
})

test('the operator’s commands and the program read PostgreSQL; its password is printed nowhere', async () => {
  const to = await target()
  await sealedStore(to.store, 1, 2)
  const { query, close } = await openDatabase(to.store, runtime)
  await deliver(query, [1])
  await close()
  const url = Object.assign(new URL(to.url), { password: 'canary-password' }).href
  const key = sealerKey(1)
  const env = { DATABASE_URL: url, ENCRYPTION_KEY: sealerKey(2), ENCRYPTION_KEY_PREVIOUS: key }
  const list = await typed(file('deliveries.ts'), ['list', '--json'], { env })
  expect([list.code, JSON.parse(list.out)]).toMatchObject([0, { id: '1', delivery_id: 'd1' }])
  await (await openSealed(settings(to.store, 2, 1), runtime)).database.close()
  const reseal = await typed(file('reseal.ts'), [], { env })
  expect([reseal.code, reseal.out]).toEqual([0, expect.stringContaining('0 values left')])
  const wrong = node([file('../../main.ts')], {
    cwd: testFolder(),
    env: { ...env, ENCRYPTION_KEY: sealerKey(9) },
  })
  expect(await wrong.ended).toBe(1)
  const missing = node([file('../../main.ts')], {
    cwd: testFolder(),
    env: { ...env, DATABASE_URL: `${url}_none` },
  })
  expect([await missing.ended, missing.output.err]).toEqual([1, expect.stringContaining('database_missing')])
  for (const { out, err } of [list, reseal, wrong.output, missing.output])
    expect(out + err).not.toContain('canary')
})

const sealerKey = (fill: number) => Buffer.alloc(32, fill).toString('base64')
