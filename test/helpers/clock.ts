import { type Runtime, systemRuntime } from '../../src/process/runtime.ts'

export interface ManualClock extends Runtime {
  /** Moves the time, and ends every sleep that is over by then. */
  advance(ms: number): void
  /** Returns the length, in ms, of each sleep that has not ended. */
  sleepers(): number[]
}

/** A runtime whose time stands still until the test moves it; a sleep ends only when the time is moved past its end. */
export function manualClock(start = Date.parse('2026-05-09T12:00:00Z')): ManualClock {
  let now = start
  const sleeping = new Set<{ until: number; ms: number; wake: () => void }>()
  return {
    ...systemRuntime,
    now: () => now,
    monotonic: () => now,
    // The process always counts as idle: the dispatcher must not give way to the test's own work.
    idle: () => performance.now() * 1e9,
    late: () => 0,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const sleeper = { until: now + ms, ms, wake: resolve }
        sleeping.add(sleeper)
        const stop = () => {
          sleeping.delete(sleeper)
          reject(signal?.reason)
        }
        signal?.addEventListener('abort', stop, { once: true })
      }),
    advance(ms) {
      now += ms
      for (const sleeper of sleeping) {
        if (sleeper.until > now) continue
        sleeping.delete(sleeper)
        sleeper.wake()
      }
    },
    sleepers: () => [...sleeping].map(({ ms }) => ms),
  }
}
