import { expect, inject, test } from 'vitest'
import { manualClock } from '../../helpers/clock.ts'
import { until } from '../../helpers/wait.ts'
import { type Bench, bench, hanging, stopNow } from './dispatching.ts'

const [HOUR, DAY] = [3_600_000, 86_400_000]

const gates = () => {
  const open: (() => void)[] = []
  return { open, wait: () => new Promise<void>(resolve => open.push(resolve)) }
}

test('never more handlers at once than the bound, and all of them in the end', async () => {
  const b = await bench()
  const { open, wait } = gates()
  let [now, most] = [0, 0]
  b.dispatcher({
    concurrency: 3,
    run: async () => {
      most = Math.max(most, ++now)
      await wait()
      now--
    },
  })
  const ids = await Promise.all(Array.from({ length: 12 }, () => b.append()))
  for (let i = 0; i < 12; i++) (await until(() => open.shift()))()
  for (const id of ids) await b.reaches(id, 'done')
  expect(most).toBe(3)
})

/** Resolves when all deliveries of the database are done. */
const allDone = (b: Bench, ids: readonly number[]) =>
  until(async () => {
    const rows = b.database.query.selectFrom('outcomes').select(eb => eb.fn.countAll<number>().as('n'))
    return Number((await rows.where('state', '=', 'done').executeTakeFirstOrThrow()).n) === ids.length
  })

test('no more than 20 runs (100 on PostgreSQL) have ended whose outcome a kill -9 would take away', async () => {
  const b = await bench()
  const stored = async () =>
    (await b.database.query.selectFrom('inbox').select('id').where('state', '=', 'done').execute()).length
  const ids: number[] = []
  for (let i = 0; i < 15; i++) ids.push(...(await Promise.all(Array.from({ length: 20 }, () => b.append()))))
  let [ended, most] = [0, 0]
  b.dispatcher({
    concurrency: 5,
    run: async () => {
      most = Math.max(most, ended - (await stored()))
      ended++
    },
  })
  await allDone(b, ids)
  expect(most).toBeGreaterThan(0)
  expect(most).toBeLessThanOrEqual(inject('store') === 'postgres' ? 100 : 20)
})

test('one slow handler does not hold up the others', async () => {
  const b = await bench()
  b.dispatcher({ concurrency: 2, run: ({ id }) => (id === 1 ? hanging() : Promise.resolve()) })
  const ids = await Promise.all(Array.from({ length: 10 }, () => b.append()))
  for (const id of ids.slice(1)) await b.reaches(id, 'done')
  expect((await b.row(1)).state).toBe('running')
})

test('two dispatchers on one database run each delivery once', async () => {
  const b = await bench()
  const ran: number[] = []
  const run = async ({ id }: { id: number }) => {
    ran.push(id)
    await new Promise(setImmediate)
  }
  b.dispatcher({ run })
  b.dispatcher({ run })
  const ids = await Promise.all(Array.from({ length: 60 }, () => b.append()))
  for (const id of ids) await b.reaches(id, 'done')
  expect(new Set(ran)).toEqual(new Set(ids))
  expect(ran).toHaveLength(60)
})

test('a lease that ran out is run again, and the late run changes nothing any more', async () => {
  const b = await bench()
  const { open, wait } = gates()
  // The first dispatcher's time stands still, as in a process that was suspended and never met its time limit.
  const late = () => wait().then(() => Promise.reject(new Error('late')))
  const run = (delivery: { id: number }) => (delivery.id === id ? late() : Promise.resolve())
  b.dispatcher({ concurrency: 1, run }, manualClock())
  const id = await b.append()
  await b.reaches(id, 'running')
  b.dispatcher({ run: delivery => (delivery.id === id ? wait() : Promise.resolve()) })
  // It has looked, and found nothing.
  await b.pass(29_999)
  await b.reaches(await b.append(), 'done')
  expect((await b.row(id)).attempts).toBe(1)
  await b.pass(1001)
  await until(() => open.length === 2)
  expect(await b.row(id)).toMatchObject({ state: 'running', attempts: 2 })
  open[0]?.()
  await until(() => b.log.some(line => line.fields['attempt'] === 1 && line.level === 'warn'))
  await b.reaches(await b.append(), 'done')
  expect(await b.row(id)).toMatchObject({ state: 'running', attempts: 2, last_error: null })
  open[1]?.()
  expect(await b.reaches(id, 'done')).toMatchObject({ attempts: 2 })
})

test('a delivery whose process died eight times is given up instead of taking the ninth along', async () => {
  const b = await bench()
  const id = await b.append()
  const died = { state: 'running', attempts: 8, lease_owner: 'gone', next_at: b.clock.now() + 1 } as const
  await b.database.query.updateTable('outcomes').set(died).where('id', '=', id).execute()
  const ran: number[] = []
  b.dispatcher({
    run: async delivery => {
      ran.push(delivery.id)
    },
  })
  await b.reaches(await b.append(), 'done')
  expect((await b.row(id)).state).toBe('running')
  await b.pass(1000)
  expect(await b.reaches(id, 'dead')).toMatchObject({
    attempts: 8,
    last_error: expect.stringContaining('process'),
  })
  expect(ran).not.toContain(id)
  expect(b.log.filter(line => line.level === 'error')).toMatchObject([{ fields: { delivery: id } }])
})

test('a thousand deliveries leave no sleeper behind but the one between two looks', async () => {
  const b = await bench()
  const dispatcher = b.dispatcher({ run: async () => {} })
  const ids = await Promise.all(Array.from({ length: 1000 }, () => b.append()))
  await allDone(b, ids)
  await until(() => b.clock.sleepers().length === 1)
  expect(b.clock.sleepers()).toEqual([1000])
  await stopNow(dispatcher, b.clock)
  expect(b.clock.sleepers()).toEqual([])
})

test('a clock that jumps ahead does not have a handler run twice beside itself', async () => {
  const b = await bench()
  const { open, wait } = gates()
  const own = manualClock()
  b.dispatcher({ run: wait }, { ...own, now: b.clock.now })
  const id = await b.append()
  await until(() => open.length === 1)
  b.clock.advance(60_000)
  await b.append()
  await until(() => open.length === 2)
  for (const end of open) end()
  expect(await b.reaches(id, 'done')).toMatchObject({ attempts: 1, crashes: 0 })
})

test('after an event loop that stood still, what ended meanwhile is done, and nothing is called a crash', async () => {
  const b = await bench()
  const { open, wait } = gates()
  b.dispatcher({ run: wait })
  const [done, late] = [await b.append(), await b.append()]
  await until(() => open.length === 2)
  // Both at once, as after forty seconds in which nothing could run.
  open[0]?.()
  b.clock.advance(40_000)
  expect(await b.reaches(done, 'done')).toMatchObject({ attempts: 1, crashes: 0 })
  await until(async () => (await b.row(late)).last_error !== null)
  expect(await b.row(late)).toMatchObject({ state: 'pending', attempts: 1, crashes: 0 })
})

test.for([
  ['a crashed delivery', { state: 'running', lease_owner: 'gone', attempts: 1 }, 31],
  ['a retry', { state: 'pending', attempts: 1 }, 1],
] as const)('%s of a clock that was set back comes back all the same', async ([, change, seconds]) => {
  const b = await bench()
  const id = await b.append()
  const inYears = b.clock.now() + 5 * 365 * 86_400_000
  await b.database.query
    .updateTable('outcomes')
    .set({ ...change, next_at: inYears })
    .execute()
  b.dispatcher({ run: async () => {} })
  await b.reaches(await b.append(), 'done')
  await b.pass(seconds * 1000)
  await b.reaches(id, 'done')
})

test.for([HOUR, 31 * DAY, 730 * DAY])(
  'a retry goes on when its wait is over, though the clock is set back by %d ms meanwhile',
  async back => {
    const b = await bench()
    let set = 0
    const runs: number[] = []
    const run = async ({ attempt }: { attempt: number }) => {
      runs.push(attempt)
      if (attempt === 1) throw new Error('not yet')
    }
    b.dispatcher({ run }, { ...b.clock, now: () => b.clock.now() - set })
    const id = await b.append()
    await until(async () => (await b.row(id)).last_error !== null)
    const left = (await b.row(id)).next_at - b.clock.now()
    set = back
    await b.pass(1_000)
    await until(async () => (await b.row(id)).next_at === b.clock.now() - set + left - 1_000)
    expect(runs).toEqual([1])
    // It looks once a second.
    for (const _ of [1, 2]) await b.pass(1_000)
    await b.reaches(id, 'done')
  },
)

test('with one handler at a time, retries that are due do not hold up what is new', async () => {
  const b = await bench()
  const back = await Promise.all(Array.from({ length: 20 }, () => b.append()))
  await b.database.query.updateTable('outcomes').set({ next_at: b.clock.now(), attempts: 1 }).execute()
  const fresh = await b.append()
  const order: number[] = []
  b.dispatcher({
    concurrency: 1,
    run: async ({ id }) => {
      order.push(id)
      // Slow, so that no more is claimed at once than has to be.
      b.clock.advance(3000)
    },
  })
  for (const id of [...back, fresh]) await b.reaches(id, 'done')
  expect(order.indexOf(fresh)).toBeLessThan(3)
})
