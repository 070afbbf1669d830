import { expect, test } from 'vitest'
import { createPace } from '../../../src/webhooks/dispatch/pace.ts'

const CONCURRENCY = 10

/** A pace, and its clock: `round` lets that many runs end in `runsMs` before a claim that takes `claimMs`. */
function paced() {
  let now = 0
  const pace = createPace(CONCURRENCY, { monotonic: () => now, idle: () => now })
  return {
    pace,
    round(finished: number, { runsMs, claimMs }: { runsMs: number; claimMs: number }) {
      for (let i = 0; i < finished; i++) pace.finished()
      now += runsMs
      const batch = pace.batch()
      now += claimMs
      pace.pause()
      return batch
    },
  }
}

test('a claim takes what half a second will finish, at least one for each place and at most 500', () => {
  const { round } = paced()
  expect(round(100, { runsMs: 1_000, claimMs: 1 })).toBe(50)
  expect(round(1, { runsMs: 1_000, claimMs: 1 })).toBe(CONCURRENCY)
  expect(round(500, { runsMs: 100, claimMs: 1 })).toBe(500)
})

test('claims that wait long for their turn do not become smaller', () => {
  const { round } = paced()
  const batches = Array.from({ length: 5 }, () => round(500, { runsMs: 100, claimMs: 5_000 }))
  expect(batches).toEqual([500, 500, 500, 500, 500])
})

test('while webhooks arrive a claim takes at most 50', () => {
  const { pace, round } = paced()
  pace.arrived()
  expect(round(500, { runsMs: 100, claimMs: 1 })).toBe(50)
  expect(round(500, { runsMs: 100, claimMs: 1 })).toBe(500)
})
