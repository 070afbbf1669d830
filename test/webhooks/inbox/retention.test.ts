import { expect, onTestFinished, test } from 'vitest'
import { createSteadyClock } from '../../../src/process/trusted-time.ts'
import type { DeliveryState } from '../../../src/storage/schema.ts'
import { createDeliveries } from '../../../src/webhooks/inbox/deliveries.ts'
import { watchRetention } from '../../../src/webhooks/inbox/retention.ts'
import { answerRows } from '../../../src/webhooks/inline/answers.ts'
import { until } from '../../helpers/wait.ts'
import { bench } from '../dispatch/dispatching.ts'

const [HOUR, DAY] = [3_600_000, 86_400_000]

async function start(payloadDays = 30) {
  const b = await bench()
  const { query } = b.database
  const clock = createSteadyClock(b.clock)
  const watch = () => {
    const stop = new AbortController()
    onTestFinished(() => stop.abort())
    const log = {
      info: (fields: object) => void b.log.push({ level: 'info', fields: { ...fields }, message: '' }),
      warn: (fields: object, message: string) =>
        void b.log.push({ level: 'warn', fields: { ...fields }, message }),
      error: (fields: object) => void b.log.push({ level: 'error', fields: { ...fields }, message: '' }),
    }
    const aged = [answerRows(30)]
    void watchRetention({ query, days: 30, payloadDays, clock, aged, log }, b.clock, stop.signal)
  }
  const end = (ids: number[], state: DeliveryState, finished_at: number | null = b.clock.now()) =>
    query.updateTable('outcomes').set({ state, finished_at, attempts: 1 }).where('id', 'in', ids).execute()
  const rows = async () =>
    (await query.selectFrom('inbox').selectAll().orderBy('id').execute()).map(row => row.id)
  return { ...b, query, watch, end, rows }
}

test('what ended thirty days ago goes with its runs and keys, in batches; the rest stays', async () => {
  const b = await start()
  const dispatcher = b.dispatcher({ run: async () => {} })
  const old = await Promise.all(Array.from({ length: 450 }, () => b.append()))
  for (const id of old) await b.reaches(id, 'done')
  await dispatcher.stop(0)
  b.clock.advance(DAY)
  const [waiting, ended] = [await b.append(), await b.append()]
  await b.end([ended], 'dead')
  b.clock.advance(29 * DAY)
  b.watch()
  await until(() => b.clock.sleepers().includes(3_600_000))
  expect(await b.rows()).toHaveLength(452)
  b.clock.advance(3_600_000)
  await until(async () => {
    b.clock.advance(50)
    return (await b.rows()).length === 2
  })
  expect(await b.rows()).toEqual([waiting, ended])
  for (const table of ['attempts', 'delivery_keys'] as const)
    expect(await b.query.selectFrom(table).select('inbox_id').execute()).toEqual([])
  await until(() => b.log.some(line => line.fields['removed'] === 450))
})

test('a repeat is known as one as long as its delivery is there', async () => {
  const b = await start()
  const dispatcher = b.dispatcher({ run: async () => {} })
  const first = await b.append({ id: 'same' })
  await b.reaches(first, 'done')
  b.clock.advance(29 * DAY)
  const repeat = await b.append({ id: 'same' })
  expect(await b.reaches(repeat, 'duplicate')).toMatchObject({ duplicate_of: first })
  await dispatcher.stop(0)
  b.clock.advance(2 * DAY)
  b.watch()
  await until(async () => !(await b.rows()).includes(first))
  expect(await b.rows()).toContain(repeat)
})

test('a delivery that was parked for thirty days is given up, shown for as long again, and then removed', async () => {
  const b = await start()
  const id = await b.append()
  await b.end([id], 'parked', null)
  const newest = await b.append()
  await b.end([newest], 'done')
  b.clock.advance(31 * DAY)
  b.watch()
  expect(await b.reaches(id, 'dead')).toMatchObject({ finished_at: b.clock.now() })
  await until(() => b.clock.sleepers().includes(3_600_000))
  b.clock.advance(31 * DAY)
  await until(async () => (await b.rows()).length === 1)
  // The newest number is never given again.
  expect(await b.rows()).toEqual([newest])
})

test('a removal that fails is logged, and tried again an hour later', async () => {
  const b = await start()
  const [id] = [await b.append(), await b.append()]
  await b.end([id], 'done')
  b.clock.advance(31 * DAY)
  await b.query.schema.alterTable('attempts').renameTo('elsewhere').execute()
  b.watch()
  await until(() => b.log.some(line => line.level === 'error'))
  await b.query.schema.alterTable('elsewhere').renameTo('attempts').execute()
  b.clock.advance(3_600_000)
  await until(async () => !(await b.rows()).includes(id))
})

test('old answers go in batches too, with time between them for everybody else', async () => {
  const b = await start()
  const answer = { status: 200, body: '{}', inbox_id: 1, event_id: null, lease_owner: null, lease_until: 0 }
  const answers = Array.from({ length: 1_050 }, (_, i) => ({
    key: `k${i}`,
    ...answer,
    updated_at: b.clock.now(),
  }))
  await b.query.insertInto('inline_answers').values(answers).execute()
  const left = async () => (await b.query.selectFrom('inline_answers').select('key').execute()).length
  b.clock.advance(31 * DAY)
  b.watch()
  await until(() => b.clock.sleepers().includes(50))
  expect(await left()).toBe(550)
  await until(async () => {
    b.clock.advance(50)
    return (await left()) === 0
  })
})

test('a delivery that was received under a wrong clock does not keep all that came after it', async () => {
  const b = await start()
  const [future, old] = [await b.append(), await b.append()]
  await b.append()
  await b.end([future, old], 'done')
  const received_at = b.clock.now() + 3650 * DAY
  await b.query.updateTable('deliveries').set({ received_at }).where('id', '=', future).execute()
  b.clock.advance(31 * DAY)
  b.watch()
  await until(async () => !(await b.rows()).includes(old))
})

test('what was noted under a clock that was ahead is of unknown age: it is not given up, and stays as long as what comes now', async () => {
  const b = await start()
  const [parked, done, late] = [await b.append(), await b.append(), await b.append()]
  const newest = await b.append()
  const ahead = b.clock.now() + 730 * DAY
  await b.end([parked], 'parked', null)
  await b.end([done, late], 'done', ahead)
  await b.query.updateTable('outcomes').set({ started_at: ahead }).where('id', '=', late).execute()
  await b.query
    .updateTable('deliveries')
    .set({ received_at: ahead })
    .where('id', 'in', [parked, done])
    .execute()
  const answer = { status: 200, body: '{}', inbox_id: 1, event_id: null, lease_owner: null, lease_until: 0 }
  await b.query
    .insertInto('inline_answers')
    .values({ key: 'k', ...answer, updated_at: ahead })
    .execute()
  const answers = async () => (await b.query.selectFrom('inline_answers').select('key').execute()).length
  b.watch()
  /** Lets an hour pass, in which retention looks once. */
  const look = async (ms = HOUR) => {
    await until(() => b.clock.sleepers().includes(HOUR))
    b.clock.advance(ms)
    await until(() => {
      b.clock.advance(0)
      return b.clock.sleepers().includes(HOUR)
    })
  }
  await look()
  expect(await b.row(parked)).toMatchObject({ state: 'parked' })
  expect([await b.rows(), await answers()]).toEqual([[parked, done, late, newest], 1])
  await look(31 * DAY)
  // It came before one that is old by now.
  expect(await b.row(parked)).toMatchObject({ state: 'dead' })
  expect([await b.rows(), await answers()]).toEqual([[parked, late, newest], 0])
  // Its run ends no sooner than it began.
  const mended = await b.query
    .selectFrom('outcomes')
    .selectAll()
    .where('id', '=', late)
    .executeTakeFirstOrThrow()
  expect(mended.finished_at).toBeLessThan(ahead)
  expect(mended.started_at).toBe(mended.finished_at)
  await look(31 * DAY)
  expect(await b.rows()).toEqual([newest])
})

test('after PAYLOAD_DAYS body and error go; the row stays, knows its repeat, and a replay says why it cannot', async () => {
  const b = await start(2)
  const [done, ignored, dead, parked, pending] = await Promise.all(
    Array.from({ length: 5 }, () => b.append()),
  )
  const left = async () => {
    const rows = await b.query.selectFrom('inbox').select(['id', 'body', 'headers']).orderBy('id').execute()
    return rows.filter(row => row.body !== null || row.headers !== null).map(row => row.id)
  }
  await b.end([done ?? 0], 'done')
  await b.end([ignored ?? 0], 'ignored')
  await b.end([dead ?? 0], 'dead')
  await b.end([parked ?? 0], 'parked', null)
  await b.query
    .updateTable('outcomes')
    .set({ last_error: 'Ada' })
    .where('id', '=', ignored ?? 0)
    .execute()
  await b.query.updateTable('deliveries').set({ headers: '{}' }).execute()
  b.clock.advance(2 * DAY)
  b.watch()
  await until(() => b.clock.sleepers().includes(3_600_000))
  expect(await left()).toEqual([done, ignored, dead, parked, pending])
  b.clock.advance(3_600_000)
  await until(async () => (await left()).length === 3)
  expect(await left()).toEqual([dead, parked, pending])
  expect(await b.row(ignored ?? 0)).toMatchObject({ state: 'ignored', last_error: null })
  const deliveries = createDeliveries(b.query)
  expect(await deliveries.replay(String(ignored), 'operator', Date.now())).toBe('removed')
  expect(await deliveries.replay(String(dead), 'operator', Date.now())).toBe('replayed')
})

test.each([
  ['as right as can be seen', 0, undefined],
  ['a little behind the newest delivery, by another machine', -60_000, undefined],
  ['behind', -60_001, /^the newest delivery is from the future: the clock is behind, or was ahead$/],
  ['two years behind', -730 * DAY, /^the newest delivery is from the future/],
  [
    '31 days ahead',
    31 * DAY,
    /^by this clock everything stored is older than RETENTION_DAYS, .* check the clock$/,
  ],
])('at the start the clock is compared with the newest delivery: it is %s', async (_name, off, expected) => {
  const b = await start()
  await b.append()
  const newest = b.clock.now()
  b.clock.advance(off)
  b.watch()
  await until(() => b.clock.sleepers().includes(HOUR))
  const said = b.log.filter(line => line.level === 'warn')
  if (!expected) return expect(said).toEqual([])
  const fields = { part: 'clock', newest_delivery: new Date(newest).toISOString() }
  expect(said).toEqual([{ level: 'warn', fields, message: expect.stringMatching(expected) }])
})
