import { type Runtime, systemRuntime } from '../../src/process/runtime.ts'

export interface ManualClock extends Runtime {
  /** Moves the time and wakes whoever sleeps until then. */
  advance(ms: number): void
  /** How long each one that sleeps now asked for. */
  sleepers(): number[]
}

/** Time stands still until a test moves it, for sleepers too. */
export function manualClock(start = Date.parse('2026-05-09T12:00:00Z')): ManualClock {
  let now = start
  const sleeping = new Set<{ until: number; ms: number; wake: () => void }>()
  return {
    ...systemRuntime,
    now: () => now,
    monotonic: () => now,
    // Never busy: a test's own work is not what the dispatcher gives way to.
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
