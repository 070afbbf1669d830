import { expect, test } from 'vitest'
import { until } from '../../helpers/wait.ts'
import { type Bench, bench, stopNow } from '../dispatch/dispatching.ts'

const runsOf = (b: Bench, id: number) =>
  b.database.query.selectFrom('runs').selectAll().where('inbox_id', '=', id).orderBy('started_at').execute()

/** Leaves a delivery as a process does that dies in the middle of it. */
const died = (b: Bench, id: number, crashes: number) =>
  b.database.query
    .updateTable('outcomes')
    .set(eb => ({
      state: 'running',
      lease_owner: 'gone',
      attempts: eb('attempts', '+', 1),
      crashes,
      next_at: b.clock.now(),
    }))
    .where('id', '=', id)
    .execute()

test('each run leaves its start, end, outcome and calls; a crash leaves no end', async () => {
  const b = await bench()
  const id = await b.append()
  await died(b, id, 0)
  let runs = 0
  b.dispatcher({
    run: async (_delivery, _signal, note) => {
      note({ at: 1, ms: 2, what: 'GET /events/evt_1', result: '200', request_id: 'r' })
      if (++runs === 1) throw new TypeError('not yet')
    },
  })
  await until(async () => (await b.row(id)).last_error !== null)
  const start = b.clock.now()
  await b.pass(10_000)
  await b.reaches(id, 'done')
  const calls = '[{"at":1,"ms":2,"what":"GET /events/evt_1","result":"200","request_id":"r"}]'
  expect(await runsOf(b, id)).toEqual([
    {
      inbox_id: id,
      started_at: start - 30_000,
      ended_at: null,
      attempt: 1,
      outcome: 'interrupted',
      error: null,
      calls: null,
    },
    {
      inbox_id: id,
      started_at: start,
      ended_at: start,
      attempt: 2,
      outcome: 'retry',
      error: expect.stringMatching(/^TypeError: not yet\n {4}at .*settle\.test\.ts/),
      calls,
    },
    {
      inbox_id: id,
      started_at: start + 10_000,
      ended_at: start + 10_000,
      attempt: 3,
      outcome: 'done',
      error: null,
      calls,
    },
  ])
  expect(b.log.filter(line => line.fields['outcome'] === 'interrupted')).toMatchObject([
    { level: 'warn', fields: { delivery: id } },
  ])
})

test('a first run that ends well is told of by its delivery alone', async () => {
  const b = await bench()
  const begun = b.clock.now()
  b.dispatcher({
    run: async () => {
      b.clock.advance(3)
    },
  })
  const id = await b.append()
  await b.reaches(id, 'done')
  const times = { started_at: begun, ended_at: begun + 3 }
  expect(await runsOf(b, id)).toEqual([
    { inbox_id: id, ...times, attempt: 1, outcome: 'done', error: null, calls: null },
  ])
  expect(await b.database.query.selectFrom('attempts').selectAll().execute()).toEqual([])
})

test('a run that outlived its lease changes nothing and is told of, beside one that did not', async () => {
  const b = await bench()
  let open = () => {}
  const gate = new Promise<void>(resolve => {
    open = resolve
  })
  const begun: number[] = []
  b.dispatcher({
    run: async ({ id }) => {
      begun.push(id)
      await gate
    },
  })
  const [lost, kept] = [await b.append(), await b.append()]
  await until(() => begun.length === 2)
  const another = { lease_owner: 'another', attempts: 2 }
  await b.database.query.updateTable('outcomes').set(another).where('id', '=', lost).execute()
  open()
  await b.reaches(kept, 'done')
  expect(await b.row(lost)).toMatchObject({ state: 'running', ...another, finished_at: null })
  for (const id of [lost, kept]) expect(await runsOf(b, id)).toMatchObject([{ attempt: 1, outcome: 'done' }])
})

test('of a handler that calls thousands of times the first fifty calls are kept', async () => {
  const b = await bench()
  b.dispatcher({
    run: async (_delivery, _signal, note) => {
      for (let at = 0; at < 5000; at++) note({ at, ms: 1, what: 'GET /x', result: '200' })
    },
  })
  const id = await b.append()
  await b.reaches(id, 'done')
  const [run] = await runsOf(b, id)
  expect(JSON.parse(run?.calls ?? '')).toHaveLength(50)
})

test('a delivery whose process dies each time is given up at the fifth, and never accuses another', async () => {
  const b = await bench()
  const [poison, beside] = [await b.append(), await b.append()]
  const together: number[][] = []
  let running: number[] = []
  // A process that dies settles nothing: the same dispatcher without an end of the run stands for it.
  for (let crash = 1; crash <= 5; crash++) {
    const clock = b.clock
    const dispatcher = b.dispatcher({
      run: async ({ id }) => {
        running.push(id)
        await new Promise(setImmediate)
        // What runs beside it dies with it.
        if (running.includes(poison)) await new Promise(() => {})
        running = running.filter(other => other !== id)
      },
    })
    await until(() => running.includes(poison))
    together.push(running)
    await forgetDispatcher(b, poison, dispatcher, clock)
    running = []
    clock.advance(31_000)
  }
  expect(together.slice(0, 2)).toEqual([
    [poison, beside],
    [poison, beside],
  ])
  expect(together.slice(2)).toEqual([[poison], [poison], [poison]])
  const ran: number[] = []
  b.dispatcher({
    run: async ({ id }) => {
      ran.push(id)
    },
  })
  expect(await b.reaches(poison, 'dead')).toMatchObject({
    crashes: 5,
    last_error: expect.stringContaining('process'),
  })
  await b.reaches(beside, 'done')
  expect(ran).not.toContain(poison)
  expect((await runsOf(b, poison)).map(run => run.outcome)).toEqual(Array(5).fill('interrupted'))
})

/** Takes what it holds away from it, as its death would, and leaves the leases as they are. */
async function forgetDispatcher(
  b: Bench,
  id: number,
  dispatcher: Parameters<typeof stopNow>[0],
  clock: Parameters<typeof stopNow>[1],
): Promise<void> {
  await b.database.query
    .updateTable('outcomes')
    .set({ lease_owner: 'gone' })
    .where('state', '=', 'running')
    .execute()
  await stopNow(dispatcher, clock)
  // Its stop does not wait for what it still writes.
  const told = b.database.query.deleteFrom('attempts').where('outcome', '=', 'released')
  await until(async () => {
    const { numDeletedRows } = await told.where('inbox_id', '=', id).executeTakeFirst()
    return numDeletedRows > 0n
  })
  await told.execute()
}

test('of a delivery that waits again and again the last hundred runs stay', async () => {
  const b = await bench()
  const [id, other] = [await b.append(), await b.append()]
  const run = { attempt: 1, outcome: 'postponed', ended_at: null, error: null, calls: null } as const
  const before = Array.from({ length: 120 }, (_, n) => ({ ...run, started_at: n + 1 }))
  for (const inbox_id of [id, other])
    await b.database.query
      .insertInto('attempts')
      .values(before.map(run => ({ ...run, inbox_id })))
      .execute()
  await b.database.query.updateTable('outcomes').set({ state: 'done' }).where('id', '=', other).execute()
  b.dispatcher({ isParking: () => true, run: async () => Promise.reject(new TypeError('not connected')) })
  await b.reaches(id, 'parked')
  const kept = await runsOf(b, id)
  expect([kept.length, kept[0]?.started_at, kept.at(-1)?.outcome]).toEqual([100, 22, 'parked'])
  expect(await runsOf(b, other)).toHaveLength(120)
})
