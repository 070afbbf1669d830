import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, onTestFinished, test } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import { openSqlite } from '../../src/storage/sqlite/database.ts'
import { node } from '../helpers/child.ts'
import { manualClock } from '../helpers/clock.ts'
import { testFile } from '../helpers/database.ts'
import { testFolder } from '../helpers/folder.ts'
import { until } from '../helpers/wait.ts'

/** Starts a process that takes the write lock, says so, and gives it back after `ms`. */
async function lockFor(path: string, ms: number) {
  const script = `
    const db = new (require('node:sqlite').DatabaseSync)(${JSON.stringify(path)})
    db.exec('begin immediate')
    process.stdout.write('locked')
    setTimeout(() => { db.exec('commit'); db.close() }, ${ms})`
  const child = node(['-e', script])
  await child.says('locked')
  return child
}

/** Measures the longest time between two turns of the event loop while `work` runs. */
async function longestPause(work: () => Promise<unknown>): Promise<number> {
  let [last, longest] = [performance.now(), 0]
  const turn = () => {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
  }
  const timer = setInterval(turn, 5)
  await work().finally(() => clearInterval(timer))
  turn()
  return longest
}

const insert = 'insert into health values (7, 0) on conflict do nothing'

describe('another process holds the write lock for a second', () => {
  test.each([
    ['a statement', (d: Awaited<ReturnType<typeof testFile>>) => d.probe()],
    ['exclusive work', d => d.exclusively(file => file.prepare(insert).run())],
    ['a transaction', d => d.query.transaction().execute(trx => trx.deleteFrom('health').execute())],
  ])('%s waits for it without holding up the event loop, and succeeds', async (_, write) => {
    const database = await testFile()
    const child = await lockFor(database.path, 1000)
    const startedAt = performance.now()
    const pause = await longestPause(() => write(database))
    expect(performance.now() - startedAt).toBeGreaterThan(500)
    expect(pause).toBeLessThan(400)
    expect(await child.ended).toBe(0)
  })
})

test('a write gives up with database_locked when the lock is held longer than eight seconds, and keeps nothing', async () => {
  const clock = manualClock()
  const database = await testFile(clock)
  const other = new DatabaseSync(database.path)
  onTestFinished(() => other.close())
  other.exec('begin immediate')
  const startedAt = clock.now()
  const write = database.exclusively(file => file.prepare(insert).run())
  const refused = expect(write).rejects.toMatchObject({ name: 'StorageError', code: 'database_locked' })
  let waiting = true
  void write
    .catch(() => {})
    .then(() => {
      waiting = false
    })
  await until(() => {
    if (waiting) clock.advance(100)
    return !waiting
  })
  await refused
  expect(clock.now() - startedAt).toBeGreaterThanOrEqual(8000)
  expect(clock.now() - startedAt).toBeLessThan(9000)
  other.exec('rollback')
  expect(await database.query.selectFrom('health').selectAll().execute()).toEqual([])
  await database.probe()
})

test('a reader is not held up by another process’s open write', async () => {
  const database = await testFile()
  const other = new DatabaseSync(database.path)
  onTestFinished(() => other.close())
  other.exec('begin immediate')
  expect(await database.query.selectFrom('health').selectAll().execute()).toEqual([])
})

test('four processes that open a fresh file at once all find it migrated', async () => {
  const path = join(testFolder(), 'fresh', 'test.db')
  const [database, runtime] = ['storage/sqlite/database', 'process/runtime'].map(
    name => new URL(`../../src/${name}.ts`, import.meta.url).href,
  )
  const script = `
    const { openSqlite } = await import(${JSON.stringify(database)})
    const { systemRuntime } = await import(${JSON.stringify(runtime)})
    process.stdout.write('ready')
    await new Promise(resolve => process.stdin.once('data', resolve))
    const db = await openSqlite(${JSON.stringify(path)}, systemRuntime)
    await db.probe()
    await db.close()
    process.stdin.destroy()`
  const children = Array.from({ length: 4 }, () => node(['--input-type=module', '-e', script]))
  await Promise.all(children.map(child => child.says('ready')))
  for (const child of children) child.process.stdin?.write('go')
  const codes = await Promise.all(children.map(child => child.ended))
  expect(children.map(child => child.output.err)).toEqual(children.map(() => ''))
  expect(codes).toEqual(children.map(() => 0))
  const opened = await openSqlite(path, systemRuntime)
  expect(await opened.query.selectFrom('inbox').selectAll().execute()).toEqual([])
  await opened.close()
})
