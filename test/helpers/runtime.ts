import { type Runtime, systemRuntime } from '../../src/process/runtime.ts'

export interface TestRuntime extends Runtime {
  /** Lets time pass, by both clocks; what sleeps goes on sleeping. */
  advance(ms: number): void
  /** The same, and who sleeps until then wakes. */
  pass(ms: number): void
  /** Sets the wall clock: ahead, or back below 0. */
  setClock(ms: number): void
}

/** Those between two attempts, two looks at the store and two runs, and most of those of a stop. */
const PAUSE_MS = 3_000

/**
 * Pauses are slept twenty times as fast. `moving`: the clocks go on by them, so that whose patience is counted by a clock
 * has as much less of it. That is for one caller: where others are waited for, a busy machine would be too slow.
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
    async sleep(ms, signal) {
      const woken = new AbortController()
      const sleeper = { until: monotonic() + ms, wake: () => woken.abort() }
      sleeping.add(sleeper)
      const until = signal ? AbortSignal.any([signal, woken.signal]) : woken.signal
      try {
        await systemRuntime.sleep(ms <= PAUSE_MS ? ms / 20 : ms, until)
        if (moving) advance(Math.max(0, sleeper.until - monotonic()))
      } catch (error) {
        if (!woken.signal.aborted) throw error
      } finally {
        sleeping.delete(sleeper)
      }
    },
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
