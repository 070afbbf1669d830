import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createLimiter } from '../../src/revento/limiter.ts'
import { manualClock, mostWithin, times } from './api-harness.ts'

const MINUTE = 60_000
const HOUR = 3_600_000
const turn = () => new Promise(resolve => setImmediate(resolve))

/** Calls come in bursts; each request takes a while to reach the platform, and its answer a while to come back. */
const burst = fc.record({
  afterMs: fc.integer({ min: 0, max: 50_000 }),
  calls: fc.integer({ min: 1, max: 40 }),
  thereMs: fc.integer({ min: 0, max: 9_000 }),
  backMs: fc.integer({ min: 0, max: 900 }),
  /** Some leave again while they wait. */
  leaveMs: fc.option(fc.integer({ min: 0, max: 90_000 }), { nil: undefined }),
})

test('however calls come and however slow the network: no minute or hour of the platform holds too many', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(burst, { minLength: 1, maxLength: 20 }), async bursts => {
      const clock = manualClock()
      const limiter = createLimiter(clock)
      const arrivals: number[] = []
      let inFlight = 0
      let mostInFlight = 0
      const send = async (thereMs: number, backMs: number) => {
        mostInFlight = Math.max(mostInFlight, ++inFlight)
        await clock.sleep(thereMs)
        arrivals.push(clock.now())
        await clock.sleep(backMs)
        inFlight -= 1
      }
      const ended = bursts.map(async ({ afterMs, calls, thereMs, backMs, leaveMs }, n) => {
        await clock.sleep(afterMs * n)
        const leaving = new AbortController()
        const wait = { deadline: Number.POSITIVE_INFINITY, signal: leaving.signal }
        if (leaveMs !== undefined) void clock.sleep(leaveMs).then(() => leaving.abort())
        const all = times(calls, () => limiter.run(wait, place => place.send(() => send(thereMs, backMs))))
        await Promise.allSettled(all)
      })
      let done = false
      void Promise.all(ended).then(() => {
        done = true
      })
      for (let step = 0; !done && step < 20_000; step++) {
        for (let n = 0; n < 3; n++) await turn()
        clock.advance(Math.max(1, Math.min(250, ...clock.sleepers())))
      }
      expect(done).toBe(true)
      expect(mostInFlight).toBeLessThanOrEqual(5)
      expect(mostWithin(arrivals, MINUTE)).toBeLessThanOrEqual(30)
      expect(mostWithin(arrivals, HOUR)).toBeLessThanOrEqual(500)
      clock.advance(HOUR)
      expect(limiter.isIdle()).toBe(true)
    }),
    { numRuns: 50 },
  )
}, 60_000)
