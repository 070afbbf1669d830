import { type Runtime, systemRuntime } from '../../src/process/runtime.ts'

export interface TestRuntime extends Runtime {
  /** Lets time pass, by both clocks; what sleeps goes on sleeping. */
  advance(ms: number): void
  /** The same, and who sleeps until then wakes. */
  pass(ms: number): void
  /** Sets the wall clock: ahead, or back below 0. */
  setClock(ms: number): void
}

const LONGEST_TIMER_MS = 2 ** 31 - 1
/** Those between two attempts, two looks at the store and two runs, and most of those of a stop. */
const PAUSE_MS = 3_000

/**
 * Pauses are slept twenty times as fast. `moving`: the clocks go on by them, so that whose patience is counted by a clock
 * has as much less of it. Every pause does that, also of what looks at the store: a test that counts attempts, or whose
 * caller waits for another one, would depend on how busy the machine is.
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
    // A test machine's load is not what the app gives way to.
    late: () => 0,
    // A stop ends twenty sleeps: with a signal and an error of its own for each it cost as much as the rest of it.
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
