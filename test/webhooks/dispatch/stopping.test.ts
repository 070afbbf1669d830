import { expect, test } from 'vitest'
import { createSealer } from '../../../src/keys/sealing.ts'
import { systemRuntime } from '../../../src/process/runtime.ts'
import { connectionsOf, tokenSet } from '../../helpers/sealed.ts'
import { until } from '../../helpers/wait.ts'
import { bench, hanging, stopNow } from './dispatching.ts'

test('a handler that ends within the grace is done, and does not run again', async () => {
  const b = await bench()
  let finish = () => {}
  const signals: AbortSignal[] = []
  const dispatcher = b.dispatcher({
    run: (_, signal) => {
      signals.push(signal)
      return new Promise<void>(resolve => {
        finish = resolve
      })
    },
  })
  const id = await b.append()
  await b.reaches(id, 'running')
  const stopped = dispatcher.stop(3000)
  await until(() => signals[0]?.aborted)
  expect((await b.row(id)).state).toBe('running')
  finish()
  await stopped
  expect(await b.row(id)).toMatchObject({ state: 'done', attempts: 1 })
})

test('a handler that stops by its signal gives its delivery back, uncounted, and it runs again', async () => {
  const b = await bench()
  const dispatcher = b.dispatcher({
    run: (_, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
  })
  const id = await b.append()
  await b.reaches(id, 'running')
  await dispatcher.stop(3000)
  expect(await b.row(id)).toMatchObject({
    state: 'pending',
    attempts: 0,
    last_error: null,
    lease_owner: null,
  })
  const attempts: number[] = []
  b.dispatcher({
    run: async ({ attempt }) => {
      attempts.push(attempt)
    },
  })
  await b.reaches(id, 'done')
  expect(attempts).toEqual([1])
})

test('a handler that never ends is given back after the grace', async () => {
  const b = await bench()
  const dispatcher = b.dispatcher({ run: hanging })
  const id = await b.append()
  await b.reaches(id, 'running')
  let stopped = false
  const stop = dispatcher.stop(3000).then(() => {
    stopped = true
  })
  await until(() => b.clock.sleepers().includes(3000))
  b.clock.advance(2999)
  await new Promise(setImmediate)
  expect(stopped).toBe(false)
  b.clock.advance(1)
  await stop
  expect(await b.row(id)).toMatchObject({ state: 'pending', attempts: 0 })
})

test('nothing is claimed after the stop', async () => {
  const b = await bench()
  const ran: number[] = []
  const dispatcher = b.dispatcher({
    run: async ({ id }) => {
      ran.push(id)
    },
  })
  await b.reaches(await b.append(), 'done')
  await dispatcher.stop(0)
  const id = await b.append()
  dispatcher.arrived()
  b.clock.advance(10_000)
  await b.database.probe()
  expect((await b.row(id)).state).toBe('pending')
  expect(ran).toEqual([1])
})

test('after an error that nobody caught, what ends is done, and the rest stays accused', async () => {
  const b = await bench()
  const crashed = new AbortController()
  const finish: (() => void)[] = []
  const dispatcher = b.dispatcher({
    crashed: crashed.signal,
    concurrency: 3,
    run: ({ id }) => {
      if (id === 1) return hanging()
      if (id === 2) return new Promise((_, reject) => finish.push(() => reject(new Error('no'))))
      return new Promise<void>(resolve => finish.push(resolve))
    },
  })
  for (let i = 0; i < 3; i++) await b.append()
  await until(() => finish.length === 2)
  crashed.abort()
  const stopped = dispatcher.stop(3000)
  await until(() => b.clock.sleepers().includes(3000))
  for (const end of finish) end()
  await b.reaches(3, 'done')
  b.clock.advance(3000)
  await stopped
  expect(await b.row(1)).toMatchObject({ state: 'running', attempts: 1 })
  expect(await b.row(2)).toMatchObject({ state: 'running', attempts: 1 })
  const accused = b.log.filter(line => line.fields['outcome'] === 'interrupted')
  expect(new Set(accused.map(line => line.fields['delivery']))).toEqual(new Set([1, 2]))
})

test('a reconnect whose process ended before it woke what had waited: the next start wakes it', async () => {
  const b = await bench()
  const parking = () => Promise.reject(new Error('needs the organizer'))
  const first = b.dispatcher({ run: parking, isParking: () => true })
  const [waited, others] = [await b.append({ eventId: 'evt_1' }), await b.append({ eventId: 'evt_2' })]
  await b.reaches(waited, 'parked')
  await b.reaches(others, 'parked')
  await stopNow(first, b.clock)
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, systemRuntime)
  await connectionsOf(b.database.query, sealer).save(tokenSet(1))
  b.dispatcher({ run: async () => {} })
  expect(await b.reaches(waited, 'done')).toMatchObject({ attempts: 1 })
  expect((await b.row(others)).state).toBe('parked')
})
