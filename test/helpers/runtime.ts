import { type Runtime, systemRuntime } from '../../src/process/runtime.ts'

export interface TestRuntime extends Runtime {
  /** Lets time pass, by both clocks; what sleeps goes on sleeping. */
  advance(ms: number): void
  /** The same, and who sleeps until then wakes. */
  pass(ms: number): void
  /** Sets the wall clock: ahead, or back below 0. */
  setClock(ms: number): void
}

/** A pause of up to a second, as between two attempts or two looks at the store, is slept twenty times as fast. */
const hurried = (ms: number) => (ms <= 1_000 ? ms / 20 : ms)

export function testRuntime(): TestRuntime {
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
        await systemRuntime.sleep(hurried(ms), until)
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
