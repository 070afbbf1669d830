import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { createOwnErasing, type Erase } from '../../src/builder/erase.ts'
import { systemRuntime } from '../../src/process/runtime.ts'
import { markErased } from '../../src/storage/erasures.ts'
import { createEventData } from '../../src/storage/event-data.ts'
import { transaction } from '../../src/storage/sql.ts'
import { createOwed } from '../../src/webhooks/dispatch/owed.ts'
import { insertDelivery } from '../helpers/deliveries.ts'
import { storeEnding } from '../helpers/erase.ts'
import { until } from '../helpers/wait.ts'
import { type Bench, bench } from '../webhooks/dispatch/dispatching.ts'

let b: Bench
beforeEach(async () => {
  b = await bench()
})

const OWNER = { platform: 'real', event_id: 'evt_1', organization_id: 'org_1' } as const
const NEVER = new AbortController().signal

const erasing = (erase: Erase) => {
  const log = {
    ...{ info() {}, warn() {} },
    error: (fields: object, message: string) =>
      void b.log.push({ level: 'error', fields: { ...fields }, message }),
  }
  const own = { settings: {}, services: {} } as never
  return createOwnErasing({ query: b.database.query, platform: 'real', erase, own, log }, b.clock)
}

/** A data.deletion_required that is marked, and nothing else. */
async function mark(): Promise<number> {
  const { query } = b.database
  const id = await storeEnding(query, b.clock.now(), { eventId: 'evt_1' })
  await transaction(query, trx => markErased(trx, id, b.clock.now()))
  return id
}

const left = async () =>
  (
    await b.database.query
      .selectFrom('erasures')
      .select('event_id')
      .whereRef('own_done', '<', 'ending')
      .execute()
  ).length

/** Watches, and moves the time until nothing is left. */
async function watchUntilDone(erase: Erase): Promise<void> {
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  void erasing(erase).watch(stop.signal)
  await until(async () => {
    b.clock.advance(60_000)
    return (await left()) === 0
  })
}

test('the builder’s erasure comes before ours: what this app stores can still be read', async () => {
  const { query } = b.database
  const seen: unknown[] = []
  const own = erasing({
    async event({ db, eventId, organizationId, through }) {
      const people = await db.selectFrom('revento_participants').select('name').execute()
      seen.push({ people, eventId, organizationId, through })
    },
  })
  const eventData = createEventData(query, b.clock, 'real')
  await eventData.saveParticipant(
    { id: 1, eventId: 'evt_1', organizationId: 'org_1' },
    { participantId: 'ptp_1', name: 'Ada', type: 'application.approved', occurredAt: '2026-05-09T14:00:00Z' },
  )
  const log = { info() {}, warn() {}, error() {} }
  const owed = createOwed(
    { query, connections: { suspendAll: async () => 0 }, eventData, erasing: own, log },
    systemRuntime,
  )
  b.dispatcher({ run: async (delivery, signal) => owed[delivery.type]?.(delivery, signal) })
  const id = await b.append({ type: 'data.deletion_required' })
  await b.reaches(id, 'done')
  expect(seen).toEqual([
    {
      people: [{ name: 'Ada' }],
      eventId: 'evt_1',
      organizationId: 'org_1',
      through: Number.MAX_SAFE_INTEGER,
    },
  ])
  expect(await query.selectFrom('participants').selectAll().execute()).toEqual([])
  expect(await left()).toBe(0)
})

test('an erasure of the builder’s that fails is asked again until it succeeds, is logged each time, and never rejects', async () => {
  await mark()
  let calls = 0
  const erase: Erase = {
    async event() {
      calls += 1
      if (calls < 4) throw new TypeError('no such folder')
    },
  }
  await erasing(erase).begin(OWNER, NEVER)
  expect([calls, await left()]).toEqual([1, 1])
  await watchUntilDone(erase)
  expect(calls).toBe(4)
  expect(b.log.map(line => line.message.includes('src/integration/erase.ts has not done its part'))).toEqual([
    true,
    true,
    true,
  ])
  b.clock.advance(3_600_000)
  expect(calls).toBe(4)
})

test('an erasure of the builder’s that hangs holds up ours for five seconds, and no longer', async () => {
  await mark()
  const began = erasing({ event: () => new Promise(() => {}) }).begin(OWNER, NEVER)
  await until(() => b.clock.sleepers().includes(5_000))
  b.clock.advance(5_000)
  await began
  expect(b.log).toMatchObject([{ fields: { err: { name: 'EraseTooLong' } } }])
  expect(await left()).toBe(1)
})

test('a time limit that ends before the builder’s erasure has begun holds up nothing either', async () => {
  await mark()
  const stopped = AbortSignal.abort(new Error('stopped'))
  await erasing({ event: () => new Promise(() => {}) }).begin(OWNER, stopped)
  expect(await left()).toBe(1)
})

test('a process that dies before the builder’s erasure: the next one goes on, and asks once', async () => {
  await mark()
  const calls: string[] = []
  await watchUntilDone({ event: async ({ eventId }) => void calls.push(eventId) })
  expect(calls).toEqual(['evt_1'])
})

test('an ending that runs again asks for nothing twice; a later ending does', async () => {
  const id = await mark()
  const calls: string[] = []
  const own = erasing({ event: async ({ eventId }) => void calls.push(eventId) })
  await own.begin(OWNER, NEVER)
  await transaction(b.database.query, trx => markErased(trx, id, b.clock.now()))
  await own.begin(OWNER, NEVER)
  expect(calls).toHaveLength(1)
  await mark()
  await own.begin(OWNER, NEVER)
  expect(calls).toHaveLength(2)
})

test('an erasure waits for the event’s runs that have not ended, two seconds at most', async () => {
  await mark()
  const { query } = b.database
  const running = await insertDelivery(query, {
    ...{ type: 'application.approved', event_id: 'evt_1', organization_id: 'org_1', state: 'running' },
    ...{ next_at: b.clock.now() + 30_000, received_at: b.clock.now(), body: Buffer.from('{}') },
  })
  const called: string[] = []
  const began = erasing({ event: async ({ eventId }) => void called.push(eventId) }).begin(OWNER, NEVER)
  await until(() => b.clock.sleepers().includes(50))
  expect(called).toEqual([])
  await query.updateTable('outcomes').set({ state: 'ignored' }).where('id', '=', running).execute()
  await until(() => {
    b.clock.advance(50)
    return called.length === 1
  })
  await began
})
