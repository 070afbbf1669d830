import { expect, onTestFinished, test } from 'vitest'
import { StorageError } from '../../../src/process/errors.ts'
import { systemRuntime } from '../../../src/process/runtime.ts'
import type { Incoming } from '../../../src/webhooks/inbox/append.ts'
import { createBacklog } from '../../../src/webhooks/inbox/backlog.ts'
import { createInbox } from '../../../src/webhooks/inbox/inbox.ts'
import { createSettler } from '../../../src/webhooks/inbox/settle.ts'
import { manualClock } from '../../helpers/clock.ts'
import { testDatabase } from '../../helpers/database.ts'
import { until } from '../../helpers/wait.ts'
import { bench, NO_BACKLOG } from '../dispatch/dispatching.ts'

const delivery = (n: number, bytes: number): Incoming => ({
  provider: 'revento',
  platform: 'real',
  deliveryId: null,
  envelope: { id: `e${n}`, type: 't', eventId: null, organizationId: null },
  receivedAt: 0,
  body: Buffer.alloc(bytes),
})

test('the inbox refuses what would wait beyond 32 MiB, keeps what it took, and comes back by itself', async () => {
  const database = await testDatabase()
  const inbox = createInbox(database, NO_BACKLOG, () => {}, systemRuntime)
  const outcomes = await Promise.allSettled(
    Array.from({ length: 200 }, (_, n) => inbox.append(delivery(n, 250_000))),
  )
  const refused = outcomes.filter(o => o.status === 'rejected')
  expect(refused.length).toBe(200 - Math.floor((32 * 1024 * 1024) / 250_000))
  for (const { reason } of refused)
    expect(reason).toMatchObject({ name: 'StorageError', code: 'backlog_full' })
  const rows = await database.query.selectFrom('inbox').select('id').execute()
  expect(rows).toHaveLength(200 - refused.length)
  expect(await inbox.append(delivery(200, 250_000))).toBeGreaterThan(rows.length)
})

test('an outcome that cannot be stored at once is stored later, and the handler does not run again', async () => {
  const b = await bench()
  let runs = 0
  b.dispatcher({
    run: async () => {
      runs++
    },
  })
  const failing = { left: 3 }
  const transaction = b.database.query.transaction.bind(b.database.query)
  const query = new Proxy(b.database.query, {
    get: (target, name) => {
      if (name === 'transaction' && failing.left-- > 0) throw new StorageError('database_locked')
      return name === 'transaction' ? transaction : Reflect.get(target, name)
    },
  })
  const id = await b.append()
  await b.reaches(id, 'done')
  expect(runs).toBe(1)
  // The outcome is stored once more, by a settler whose store fails three times.
  await b.database.query.updateTable('outcomes').set({ state: 'running', lease_owner: 'me' }).execute()
  const settler = createSettler(query, 'me', systemRuntime)
  const ended = { id, type: 't', platform: 'real', eventId: null, organizationId: null, attempt: 1 } as const
  await settler.settle({ delivery: ended, outcome: { state: 'done' } })
  expect(await b.row(id)).toMatchObject({ state: 'done', lease_owner: null })
  expect(failing.left).toBeLessThan(0)
})

test('a full backlog refuses, and takes again once handlers have caught up', async () => {
  const database = await testDatabase()
  const clock = manualClock()
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const backlog = createBacklog(database.query, clock, 5)
  const inbox = createInbox(database, backlog, () => {}, clock)
  for (let n = 0; n < 5; n++) await inbox.append(delivery(n, 10))
  await expect(inbox.append(delivery(5, 10))).rejects.toMatchObject({ code: 'backlog_full' })
  // Another process has the same rows, and knows after its first look.
  const other = createBacklog(database.query, clock, 5)
  void other.watch(stop.signal)
  await until(() => other.isFull())
  await database.query.updateTable('outcomes').set({ state: 'done' }).where('id', '<=', 2).execute()
  clock.advance(1_000)
  await until(() => !other.isFull())
  void backlog.watch(stop.signal)
  await until(() => !backlog.isFull())
  expect(await inbox.append(delivery(6, 10))).toBeGreaterThan(0)
})
