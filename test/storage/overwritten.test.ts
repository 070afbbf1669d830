import { readFileSync, statfsSync, statSync, truncateSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import { expect, test } from 'vitest'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { createEventData } from '../../src/storage/event-data.ts'
import { emptyLog, watchLog } from '../../src/storage/sqlite/log.ts'
import { claim } from '../../src/webhooks/inbox/claim.ts'
import { createInbox } from '../../src/webhooks/inbox/inbox.ts'
import { createSettler } from '../../src/webhooks/inbox/settle.ts'
import { node } from '../helpers/child.ts'
import { manualClock } from '../helpers/clock.ts'
import { type TestFile, testFile } from '../helpers/database.ts'
import { erase } from '../helpers/erase.ts'
import { testFolder } from '../helpers/folder.ts'
import { until } from '../helpers/wait.ts'
import { NO_BACKLOG } from '../webhooks/dispatch/dispatching.ts'

const ORGANIZATION = { organizationId: 'org_1' }
/** Lengths of bodies that stand in the row itself, on one page beside it, and on many. */
const SIZES = [300, 3_000, 6_000, 20_000]
const canary = (eventId: string, n: number) => `Ada-${eventId}-${n}-Lovelace`

/** Deliveries of two events, handled as the dispatcher does it: each row is changed, and grows, twice. */
async function handled(file: TestFile, count: number): Promise<void> {
  const inbox = createInbox(file, NO_BACKLOG, () => {}, runtime)
  const data = createEventData(file.query, runtime, 'real')
  const events = Array.from({ length: count }, (_, n) => ({
    n,
    eventId: n % 3 === 0 ? 'evt_kept' : 'evt_gone',
  }))
  await Promise.all(
    events.map(({ n, eventId }) => {
      const envelope = { id: `e${n}`, type: 'application.approved', eventId, ...ORGANIZATION }
      const body = Buffer.from(canary(eventId, n).padEnd(SIZES[n % 4] ?? 0, ` ${canary(eventId, n)}`))
      const received = { deliveryId: null, envelope, receivedAt: runtime.now(), body }
      return inbox.append({ provider: 'revento', platform: 'real', ...received })
    }),
  )
  const settler = createSettler(file.query, 'me', runtime)
  for (;;) {
    const { claimed } = await claim(file.query, {
      ...{ owner: 'me', platform: 'real', limit: 50, running: 0, held: [], leaseMs: 30_000, maxAttempts: 8 },
      ...{ now: runtime.now(), hasHandler: () => true },
      ends: { after: 0, now: runtime.now(), latest: Number.MAX_SAFE_INTEGER },
    })
    if (claimed.length === 0) return
    for (const { id, eventId, ...delivery } of claimed) {
      const name = canary(eventId ?? '', id - 1)
      const change = { participantId: `p${id}`, name, type: 't', occurredAt: '2026-05-09T14:00:00Z' }
      await data.saveParticipant({ id, eventId: eventId ?? '', ...ORGANIZATION }, change)
      const outcome = id % 5 === 0 ? ({ state: 'dead', error: name } as const) : ({ state: 'done' } as const)
      await settler.settle({
        delivery: { id, eventId, ...delivery },
        outcome,
        run: { startedAt: id, endedAt: id, calls: [] },
      })
    }
  }
}

const namesIn = (path: string, eventId: string) =>
  new Set(readFileSync(path, 'latin1').match(new RegExp(`Ada-${eventId}-\\d+`, 'g'))).size

test('what is erased is in neither the file nor its log nor a new backup, though rows had moved', async () => {
  const file = await testFile()
  // More of them than an erasure removes in one batch: the pages of the first still have names of the second.
  await handled(file, 330)
  await emptyLog(file.query)
  expect(namesIn(file.path, 'evt_gone')).toBeGreaterThan(100)
  await erase(file.query, runtime, { eventId: 'evt_gone' })
  expect(namesIn(`${file.path}-wal`, 'evt_gone')).toBeGreaterThan(0)
  expect(await emptyLog(file.query)).toBe(true)
  const copy = join(testFolder(), 'copy.db')
  const source = new DatabaseSync(file.path, { readOnly: true })
  await backup(source, copy)
  source.close()
  for (const path of [file.path, `${file.path}-wal`, copy]) expect(namesIn(path, 'evt_gone'), path).toBe(0)
  expect(namesIn(file.path, 'evt_kept')).toBeGreaterThanOrEqual(67)
})

test('what retention removes is in neither the file nor its log nor a new backup', async () => {
  const file = await testFile()
  await handled(file, 100)
  await file.query.deleteFrom('participants').execute()
  await file.query.deleteFrom('attempts').execute()
  for (const table of ['outcomes', 'deliveries'] as const) await file.query.deleteFrom(table).execute()
  expect(await emptyLog(file.query)).toBe(true)
  for (const path of [file.path, `${file.path}-wal`])
    expect([namesIn(path, 'evt_gone'), namesIn(path, 'evt_kept')]).toEqual([0, 0])
})

test('a reader puts the emptying of the log off; it is done within twenty seconds of its end', async () => {
  const clock = manualClock()
  const file = await testFile()
  const reader = new DatabaseSync(file.path, { readOnly: true })
  reader.exec('begin; select * from inbox')
  await handled(file, 20)
  const stop = new AbortController()
  const watching = watchLog(file.query, clock, stop.signal)
  await until(() => clock.sleepers().includes(20_000))
  expect(readFileSync(`${file.path}-wal`).length).toBeGreaterThan(0)
  reader.close()
  clock.advance(20_000)
  await until(() => readFileSync(`${file.path}-wal`).length === 0)
  stop.abort()
  await watching
})

test('what an earlier version left in free pages is gone after npm run compact', async () => {
  const file = await testFile()
  await file.close()
  const older = new DatabaseSync(file.path)
  older.exec(`pragma secure_delete = off; create table old (name text)`)
  const insert = older.prepare('insert into old values (?)')
  for (let n = 0; n < 300; n++) insert.run(canary('evt_gone', n).padEnd(2_000, '.'))
  older.exec('drop table old')
  older.close()
  expect(namesIn(file.path, 'evt_gone')).toBeGreaterThan(0)
  const compact = node(['src/cli/operate/compact.ts'], { env: { DATABASE_URL: `sqlite:${file.path}` } })
  expect(await compact.ended).toBe(0)
  expect(compact.output.out).toMatch(/MB, which takes about \d+ s\.[\s\S]*Done in \d+ s/)
  expect(namesIn(file.path, 'evt_gone')).toBe(0)
})

test('npm run compact changes nothing where the disk has less room than twice the database', async () => {
  const file = await testFile()
  await file.close()
  // Of a sparse file the end takes no room.
  const { bavail, bsize } = statfsSync(dirname(file.path))
  const size = Math.ceil((bavail * bsize) / 2) + 64 * 1024 * 1024
  truncateSync(file.path, size)
  const compact = node(['src/cli/operate/compact.ts'], { env: { DATABASE_URL: `sqlite:${file.path}` } })
  expect([await compact.ended, compact.output.out]).toEqual([1, ''])
  expect(compact.output.err).toMatch(/MB of room: \d+ MB are needed\. Nothing was changed\./)
  expect(statSync(file.path).size).toBe(size)
})
