import { expect, test } from 'vitest'
import { systemRuntime } from '../../../src/process/runtime.ts'
import { ApiError } from '../../../src/revento/api.ts'
import { openDatabase } from '../../../src/storage/open.ts'
import { MAX_ATTEMPTS } from '../../../src/webhooks/dispatch/run.ts'
import { createDeliveries } from '../../../src/webhooks/inbox/deliveries.ts'
import { erase } from '../../helpers/erase.ts'
import { grantOf } from '../../helpers/grants.ts'
import { rounds } from '../../helpers/rounds.ts'
import { until } from '../../helpers/wait.ts'
import { type Bench, bench } from '../dispatch/dispatching.ts'

const deliveries = ({ database }: Bench) => createDeliveries(database.query)

/** Stores a delivery in this state. */
async function standing(b: Bench, state: 'dead' | 'ignored' | 'parked' | 'done', eventId = 'evt_1') {
  const id = await b.append({ eventId })
  await b.database.query
    .updateTable('outcomes')
    .set({ state, attempts: MAX_ATTEMPTS, crashes: 2, next_at: 5, finished_at: 7, last_error: 'Error: no' })
    .where('id', '=', id)
    .execute()
  return String(id)
}

test('a dead delivery that is replayed runs like a new one, and is handled', async () => {
  const b = await bench()
  const id = await standing(b, 'dead')
  expect(await deliveries(b).replay(id, 'operator', Date.now())).toBe('replayed')
  expect(await b.row(Number(id))).toMatchObject({
    state: 'pending',
    attempts: 0,
    crashes: 0,
    next_at: 0,
    finished_at: null,
    last_error: null,
  })
  const attempts: number[] = []
  b.dispatcher({ run: async delivery => void attempts.push(delivery.attempt) })
  await b.reaches(Number(id), 'done')
  expect(attempts).toEqual([1])
})

test('a replayed delivery that had no handler runs again too', async () => {
  const b = await bench()
  const id = await standing(b, 'ignored')
  expect(await deliveries(b).replay(id, 'operator', Date.now())).toBe('replayed')
})

test('of two replays of a delivery at once one runs it, each time', async () => {
  const b = await bench()
  const other = await openDatabase(b.database.store, systemRuntime)
  const both = [deliveries(b), createDeliveries(other.query)]
  for (let round = 0; round < rounds(20); round++) {
    const id = await standing(b, 'dead')
    const answers = await Promise.all([...both, ...both].map(d => d.replay(id, 'operator', Date.now())))
    expect(answers.toSorted()).toEqual(['not_dead', 'not_dead', 'not_dead', 'replayed'])
  }
  await other.close()
})

test.for(['parked', 'done'] as const)('a delivery that is %s is not replayed', async state => {
  const b = await bench()
  const id = await standing(b, state)
  expect(await deliveries(b).replay(id, 'operator', Date.now())).toBe('not_dead')
  expect((await b.row(Number(id))).state).toBe(state)
})

test('a delivery whose body was erased cannot run again', async () => {
  const b = await bench()
  const id = await standing(b, 'dead')
  await erase(b.database.query, b.clock, { eventId: 'evt_1' })
  expect(await deliveries(b).replay(id, 'operator', Date.now())).toBe('erased')
})

test.for(['0', '-1', '1.0', '01', '1e3', '9'.repeat(16), "1' or '1", '', 'NaN', '4711'])(
  'the id "%s" is not found',
  async id => {
    const b = await bench()
    await standing(b, 'dead')
    expect(await deliveries(b).replay(id, 'operator', Date.now())).toBe('not_found')
    expect(await deliveries(b).find(id, 'operator')).toBeUndefined()
  },
)

test('a delivery of another event or organization is neither seen nor replayed; the operator may', async () => {
  const b = await bench()
  const id = await standing(b, 'dead', 'evt_other')
  const others = [[], [await grantOf('evt_1')], [await grantOf('evt_other', 'org_2')]]
  for (const viewer of others) {
    expect(await deliveries(b).replay(id, viewer, Date.now())).toBe('not_found')
    expect(await deliveries(b).find(id, viewer)).toBeUndefined()
  }
  expect((await b.row(Number(id))).state).toBe('dead')
  expect((await deliveries(b).find(id, 'operator'))?.event_id).toBe('evt_other')
  expect(
    await deliveries(b).replay(id, [await grantOf('evt_1'), await grantOf('evt_other')], Date.now()),
  ).toBe('replayed')
})

test('a delivery that names no organization is seen by the operator alone', async () => {
  const b = await bench()
  const id = await standing(b, 'dead')
  await b.database.query.updateTable('deliveries').set({ organization_id: null }).execute()
  const viewer = [await grantOf('evt_1'), await grantOf('evt_1', '')]
  expect(await deliveries(b).find(id, viewer)).toBeUndefined()
  expect(await deliveries(b).replay(id, viewer, Date.now())).toBe('not_found')
  expect(await deliveries(b).find(id, 'operator')).toBeDefined()
})

test('the story tells of each run, with what it asked of Revento', async () => {
  const b = await bench()
  const id = await b.append()
  const call = { at: b.clock.now(), ms: 12, what: 'GET /events/evt_1', result: '500', request_id: 'r-1' }
  let run = 0
  b.dispatcher({
    run: async (_delivery, _signal, note) => {
      if (++run > 1) return
      note(call)
      throw new ApiError('upstream_error', 0, '')
    },
  })
  await until(async () => (await b.row(id)).last_error !== null)
  const failed = await deliveries(b).find(String(id), 'operator')
  expect(failed?.next_at).not.toBeNull()
  await b.pass(60_000)
  await b.reaches(id, 'done')
  const story = await deliveries(b).find(String(id), 'operator')
  expect(story).toMatchObject({ state: 'done', attempts: 2, next_at: null, stored: true })
  expect(story?.runs.map(({ attempt, outcome }) => [attempt, outcome])).toEqual([
    [1, 'retry'],
    [2, 'done'],
  ])
  expect(story?.runs[0]?.error).toContain('upstream_error')
  expect(story?.runs[0]?.calls).toEqual([{ ...call, at: new Date(call.at).toISOString() }])
  expect(Date.parse(story?.runs[1]?.started_at ?? '')).toBeGreaterThan(
    Date.parse(story?.runs[0]?.ended_at ?? ''),
  )
})

test('an erasure takes the errors of the runs with it', async () => {
  const b = await bench()
  const id = await b.append()
  b.dispatcher({
    run: async () => {
      throw new TypeError('cannot greet Ada Lovelace')
    },
  })
  await until(async () => (await b.row(id)).last_error !== null)
  await erase(b.database.query, b.clock, { eventId: 'evt_1' })
  expect(JSON.stringify(await deliveries(b).find(String(id), 'operator'))).not.toContain('Ada')
})

test('what waits for a person is found among many', async () => {
  const b = await bench()
  const dead = [await standing(b, 'dead'), await standing(b, 'dead')]
  await standing(b, 'done')
  await standing(b, 'dead', 'evt_other')
  const parked = await standing(b, 'parked')
  const mine = await grantOf('evt_1')
  expect((await deliveries(b).stuck(mine, 'dead', 9)).map(d => d.id)).toEqual(dead.toReversed())
  expect((await deliveries(b).stuck(mine, 'dead', 1)).map(d => d.id)).toEqual(dead.slice(1))
  expect((await deliveries(b).stuck(mine, 'parked', 9)).map(d => d.id)).toEqual([parked])
})
