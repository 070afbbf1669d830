import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Window } from '../../src/revento/budget.ts'
import { createLimiter } from '../../src/revento/rate-limiter.ts'
import { createBudgets } from '../../src/storage/api-budgets.ts'
import type { Queries } from '../../src/storage/database.ts'
import { testDatabase } from '../helpers/database.ts'
import { rounds } from '../helpers/rounds.ts'
import { manualClock, mostWithin, times } from './api-harness.ts'

/** Both windows are so small that few requests fill them. */
const WINDOWS: readonly Window[] = [
  { limit: 6, lengthMs: 60_000 },
  { limit: 15, lengthMs: 600_000 },
]
const PROCESSES = 3
const turn = () => new Promise(resolve => setImmediate(resolve))
const never = () => new Promise<never>(() => {})

/** Calls come in bursts; each request takes a while to reach the platform, and its answer a while to come back. */
const burst = fc.record({
  afterMs: fc.integer({ min: 0, max: 50_000 }),
  calls: fc.integer({ min: 1, max: 7 }),
  process: fc.integer({ min: 0, max: PROCESSES - 1 }),
  thereMs: fc.integer({ min: 0, max: 9_000 }),
  backMs: fc.integer({ min: 0, max: 900 }),
  /** Some callers go away while they wait. */
  leaveMs: fc.option(fc.integer({ min: 0, max: 90_000 }), { nil: undefined }),
  /** The process dies with what it has sent, and another one takes its place. */
  dies: fc.boolean(),
  /** The wall clock is set by this much. */
  jumpMs: fc.oneof(
    fc.constant(0),
    fc.integer({ min: -1e8, max: -1_000 }),
    fc.integer({ min: 1_000, max: 1e8 }),
  ),
})
type Burst = typeof burst extends fc.Arbitrary<infer T> ? T : never

/** Runs processes on one database and one machine, in a time that the test moves. */
function machine(query: Queries, organizationId: string) {
  const budgets = createBudgets(query, 'real')
  const clock = manualClock()
  let ahead = 0
  let busy = 0
  const runtime = { ...clock, now: () => clock.now() + ahead }
  return {
    clock,
    jump(ms: number) {
      ahead += ms
    },
    startProcess() {
      const died = Promise.withResolvers<void>()
      let alive = true
      const limiter = createLimiter(
        {
          windows: WINDOWS,
          change: async work => {
            if (!alive) return never()
            busy += 1
            const connection = { eventId: 'evt_1', organizationId }
            return budgets.change(connection, work).finally(() => {
              busy -= 1
            })
          },
        },
        runtime,
      )
      const die = () => {
        alive = false
        died.resolve()
      }
      return { limiter, die, died: died.promise, inFlight: 0, mostInFlight: 0 }
    },
    async play(work: Promise<unknown>): Promise<void> {
      let done = false
      void work.then(() => {
        done = true
      })
      for (let step = 0; !done && step < 20_000; step++) {
        for (let calm = 0; calm < 3; calm = busy === 0 ? calm + 1 : 0) await turn()
        clock.advance(Math.max(1, Math.min(1_000, ...clock.sleepers())))
      }
      expect(done).toBe(true)
    },
  }
}

async function expectNoWindowTooFull(query: Queries, organizationId: string, bursts: Burst[]): Promise<void> {
  const { clock, jump, startProcess, play } = machine(query, organizationId)
  const forEver = { deadline: Number.POSITIVE_INFINITY }
  const arrivals: number[] = []
  const processes = times(PROCESSES, startProcess)
  const all = [...processes]
  const first = processes.map(({ limiter }) =>
    limiter.run(forEver, place => place.send(async () => arrivals.push(clock.now()))),
  )
  await play(Promise.all(first))
  const ended = bursts.map(async (o, n) => {
    await clock.sleep(o.afterMs * n)
    jump(o.jumpMs)
    const process = processes[o.process] ?? startProcess()
    const leaving = new AbortController()
    if (o.leaveMs !== undefined) void clock.sleep(o.leaveMs).then(() => leaving.abort())
    const send = async () => {
      process.mostInFlight = Math.max(process.mostInFlight, ++process.inFlight)
      await clock.sleep(o.thereMs)
      arrivals.push(clock.now())
      if (o.dies && processes[o.process] === process) {
        process.die()
        const next = startProcess()
        processes[o.process] = next
        all.push(next)
      }
      await clock.sleep(o.backMs)
      process.inFlight -= 1
    }
    const wait = { ...forEver, signal: leaving.signal }
    const calls = times(o.calls, () => process.limiter.run(wait, place => place.send(send)))
    await Promise.race([Promise.allSettled(calls), process.died])
  })
  await play(Promise.all(ended))
  for (const { mostInFlight } of all) expect(mostInFlight).toBeLessThanOrEqual(5)
  for (const { limit, lengthMs } of WINDOWS) expect(mostWithin(arrivals, lengthMs)).toBeLessThanOrEqual(limit)
}

test.for([
  ['processes that die', { jumpMs: 0 }],
  ['a clock that is set once while they run', { dies: false }],
] as const)(
  'several processes, a slow network, %s: no window of the platform holds too many',
  {
    timeout: 600_000,
  },
  async ([, fixed]) => {
    const { query } = await testDatabase()
    let run = 0
    const bursts = fc.array(burst, { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(bursts, drawn =>
        expectNoWindowTooFull(
          query,
          `org_${run++}`,
          drawn.map((one, n) => ({ ...one, jumpMs: n === 1 ? one.jumpMs : 0, ...fixed })),
        ),
      ),
      { numRuns: rounds(4) },
    )
  },
)
