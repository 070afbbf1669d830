import { expect, test } from 'vitest'
import { ApiError } from '../../../src/revento/api.ts'
import { retryDelayMs } from '../../../src/webhooks/dispatch/run.ts'
import { until } from '../../helpers/wait.ts'
import { bench, hanging, KEY } from './dispatching.ts'

test('the delay grows fourfold each time, a quarter more or less, to about three hours in all', () => {
  const spread = [1, 2, 3, 4, 5, 6, 7].map(attempt => [retryDelayMs(attempt, 0), retryDelayMs(attempt, 1)])
  expect(spread.slice(0, 3)).toEqual([
    [1500, 2500],
    [6000, 10_000],
    [24_000, 40_000],
  ])
  const hours = [0, 1].map(end => spread.reduce((sum, pair) => sum + (pair[end] ?? 0), 0) / 3_600_000)
  expect(hours).toEqual([expect.closeTo(2.3, 0), expect.closeTo(3.8, 0)])
})

test('a handler that throws is asked again after its delay, not before', async () => {
  const b = await bench()
  const attempts: number[] = []
  b.dispatcher({
    run: async ({ id, attempt }) => {
      attempts.push(attempt)
      if (id === 1 && attempt === 1) throw new TypeError('not yet')
    },
  })
  const id = await b.append()
  const failed = await until(async () => {
    const row = await b.row(id)
    return row.last_error !== null && row
  })
  expect(failed).toMatchObject({
    state: 'pending',
    attempts: 1,
    last_error: 'TypeError: not yet',
    lease_owner: null,
  })
  const delay = failed.next_at - b.clock.now()
  expect(delay).toBeGreaterThanOrEqual(1500)
  expect(delay).toBeLessThanOrEqual(2500)
  await b.pass(delay - 1)
  await b.reaches(await b.append(), 'done')
  expect(attempts).toEqual([1, 1])
  await b.pass(1001)
  expect(await b.reaches(id, 'done')).toMatchObject({ attempts: 2, last_error: null })
})

test('after eight failures the delivery is dead, with every failure in the log', async () => {
  const b = await bench()
  const waits: number[] = []
  const error = new Error('never')
  const dispatcher = b.dispatcher({ run: () => Promise.reject(error) })
  const id = await b.append()
  for (let attempt = 1; attempt < 8; attempt++) {
    const row = await until(async () => {
      const now = await b.row(id)
      return now.state === 'pending' && now.attempts === attempt && now
    })
    waits.push(row.next_at - b.clock.now())
    await b.pass(row.next_at - b.clock.now())
    dispatcher.arrived()
  }
  expect(await b.reaches(id, 'dead')).toMatchObject({ attempts: 8, last_error: 'Error: never' })
  expect(waits).toEqual([...waits].sort((x, y) => x - y))
  await b.pass(86_400_000)
  await b.reaches(await b.append(), 'pending')
  expect((await b.row(id)).attempts).toBe(8)
  const said = b.log.filter(line => line.fields['delivery'] === id)
  expect(said.map(line => line.level)).toEqual([...Array(7).fill('warn'), 'error'])
  expect(said.every(line => line.fields['err'] === error)).toBe(true)
})

test('what a handler throws is kept short, and need not be an error', async () => {
  const b = await bench()
  const thrown: unknown[] = [new Error('x'.repeat(500)), 'a text', undefined]
  b.dispatcher({ run: () => Promise.reject(thrown.shift()) })
  const errors: (string | null)[] = []
  for (let i = 0; i < 3; i++) {
    const id = await b.append()
    errors.push(await until(async () => (await b.row(id)).last_error))
  }
  expect(errors.map(text => text?.length)).toEqual([200, 5, 5])
})

test('a run that waits for the limits is put back with its place: twelve times, and then it is done', async () => {
  const b = await bench()
  let left = 12
  b.dispatcher({
    run: async () => {
      if (left-- > 0) throw new ApiError('rate_limit_exceeded', 429, '', 40_000)
    },
  })
  const id = await b.append()
  for (let n = 1; n <= 12; n++) {
    const put = await until(async () => {
      const row = await b.row(id)
      return left === 12 - n && row.state === 'pending' && row.next_at > b.clock.now() && row
    })
    expect(put).toMatchObject({ attempts: 0, last_error: null, lease_owner: null })
    expect(put.next_at - b.clock.now()).toBe(40_000)
    await b.pass(40_000)
  }
  expect(await b.reaches(id, 'done')).toMatchObject({ attempts: 1 })
  const runs = await b.database.query.selectFrom('runs').selectAll().orderBy('started_at').execute()
  expect(runs.map(run => run.outcome)).toEqual([...Array(12).fill('postponed'), 'done'])
})

test('a delivery is parked on a parking error, without an end or a lease, until its event is resumed', async () => {
  const b = await bench()
  const parking = new Error('reconsent_required')
  const connected = new AbortController()
  const dispatcher = b.dispatcher({
    isParking: error => error === parking,
    run: () => (connected.signal.aborted ? Promise.resolve() : Promise.reject(parking)),
  })
  const [id, other] = [await b.append(), await b.append({ eventId: 'evt_other' })]
  expect(await b.reaches(id, 'parked')).toMatchObject({ finished_at: null, lease_owner: null, attempts: 0 })
  await b.reaches(other, 'parked')
  await b.pass(86_400_000)
  connected.abort()
  await b.reaches(await b.append(), 'done')
  expect((await b.row(id)).state).toBe('parked')
  await b.connect()
  dispatcher.resume(KEY)
  expect(await b.reaches(id, 'done')).toMatchObject({ last_error: null })
  expect((await b.row(other)).state).toBe('parked')
})

test('a delivery is parked as often as it takes: waiting for the organizer is not failing', async () => {
  const b = await bench()
  const parking = new Error('reconsent_required')
  let left = 12
  const dispatcher = b.dispatcher({
    isParking: error => error === parking,
    run: () => (left-- > 0 ? Promise.reject(parking) : Promise.resolve()),
  })
  const id = await b.append()
  for (let n = 0; n < 12; n++) {
    await b.reaches(id, 'parked')
    const before = left
    dispatcher.resume(KEY)
    await until(() => {
      b.clock.advance(100)
      return left < before
    })
  }
  expect(await b.reaches(id, 'done')).toMatchObject({ attempts: 1 })
})

test('a delivery is not parked when the organizer connected before its handler gave up', async () => {
  const b = await bench()
  const parking = new Error('reconsent_required')
  let runs = 0
  b.dispatcher({
    isParking: error => error === parking,
    run: async () => {
      if (++runs > 1) return
      await b.connect()
      throw parking
    },
  })
  const id = await b.append()
  await b.reaches(id, 'pending')
  await until(() => {
    b.clock.advance(100)
    return runs > 1
  })
  await b.reaches(id, 'done')
})

test('a type without a handler is ignored, once and for all', async () => {
  const b = await bench()
  b.dispatcher({
    hasHandler: (provider, type) => provider === 'revento' && type === 'a.type',
    run: async () => {},
  })
  const id = await b.append({ type: 'unknown.type' })
  expect(await b.reaches(id, 'ignored')).toMatchObject({ attempts: 0, finished_at: b.clock.now() })
  expect(b.log.map(line => line.fields)).toContainEqual(
    expect.objectContaining({ delivery: id, outcome: 'ignored' }),
  )
  await b.reaches(await b.append(), 'done')
})

test('after the time limit the signal fires, the delivery is asked again, and the slot is free', async () => {
  const b = await bench()
  const reasons: unknown[] = []
  b.dispatcher({
    concurrency: 1,
    run: ({ id, attempt }, signal) => {
      if (id > 1 || attempt > 1) return Promise.resolve()
      signal.addEventListener('abort', () => reasons.push(signal.reason))
      return hanging()
    },
  })
  const id = await b.append()
  await b.reaches(id, 'running')
  b.clock.advance(19_999)
  expect(reasons).toEqual([])
  b.clock.advance(1)
  const row = await b.reaches(id, 'pending')
  expect(reasons).toMatchObject([{ name: 'HandlerTimeout' }])
  expect(row.last_error).toMatch(/^HandlerTimeout/)
  await b.reaches(await b.append(), 'done')
})

test('an error that cannot be read is a failure like any other, and holds no place', async () => {
  const b = await bench()
  const strange = Object.assign(new Error(), { message: Symbol('x'), name: Object.create(null) })
  b.dispatcher({ concurrency: 1, run: ({ id }) => (id === 1 ? Promise.reject(strange) : Promise.resolve()) })
  const [failing, next] = [await b.append(), await b.append()]
  await b.reaches(next, 'done')
  expect(await b.reaches(failing, 'pending')).toMatchObject({ attempts: 1, last_error: 'error' })
})
