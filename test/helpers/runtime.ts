import { type Runtime, systemRuntime } from '../../src/process/runtime.ts'

export interface TestRuntime extends Runtime {
  /** Moves both clocks ahead. No sleep ends because of it. */
  advance(ms: number): void
  /** Moves both clocks ahead, and ends every sleep that is over by then. */
  pass(ms: number): void
  /** Sets the wall clock ahead, or back where `ms` is negative. */
  setClock(ms: number): void
}

const LONGEST_TIMER_MS = 2 ** 31 - 1
/** Shorter sleeps are pauses: those between requests, between looks at the store or between runs, and most of a stop. */
const PAUSE_MS = 3_000

/**
 * A runtime that shortens pauses to a twentieth. With `moving` the clocks go on by the whole pause, so that a deadline comes
 * as much sooner. Every pause moves them, those between looks at the store too: a test that counts requests, or whose
 * caller waits for another one, must not use it, because its result would depend on how busy the machine is.
 */
export function testRuntime({ moving = false } = {}): TestRuntime {
  let [passed, set] = [0, 0]
  const sleeping = new Set<{ until: number; wake: () => void }>()
  const monotonic = () => performance.now() + passed
  const advance = (ms: number) => {
    passed += ms
  }
  return {
    ...systemRuntime,
    now: () => Date.now() + passed + set,
    monotonic,
    // The event loop never counts as late: the app must not refuse webhooks because the test machine is busy.
    late: () => 0,
    // A stop ends twenty sleeps. A signal and an error for each would cost as much as the rest of the stop.
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const end = () => {
          clearTimeout(timer)
          sleeping.delete(sleeper)
          signal?.removeEventListener('abort', stop)
        }
        const stop = () => {
          end()
          reject(signal?.reason)
        }
        const wake = () => {
          end()
          resolve()
        }
        const sleeper = { until: monotonic() + ms, wake }
        const over = () => {
          if (moving) advance(Math.max(0, sleeper.until - monotonic()))
          wake()
        }
        const timer = setTimeout(over, ms <= PAUSE_MS ? ms / 20 : Math.min(ms, LONGEST_TIMER_MS))
        sleeping.add(sleeper)
        signal?.addEventListener('abort', stop)
      }),
    advance,
    pass(ms) {
      advance(ms)
      for (const { until, wake } of sleeping) if (until <= monotonic()) wake()
    },
    setClock(ms) {
      set += ms
    },
  }
}
