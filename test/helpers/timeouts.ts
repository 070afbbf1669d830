import { vi } from 'vitest'
import type { TestRuntime } from './runtime.ts'

/**
 * Shortens the timeout of each HTTP request of the app to a twentieth, and moves these clocks by the rest when it fires.
 * Returns the list of the timeouts that the app has asked for, in ms.
 */
export function shortTimeouts(...runtimes: TestRuntime[]): number[] {
  const given: number[] = []
  const timeout = AbortSignal.timeout.bind(AbortSignal)
  vi.spyOn(AbortSignal, 'timeout').mockImplementation(ms => {
    given.push(ms)
    const signal = timeout(ms / 20)
    for (const runtime of runtimes) {
      const until = runtime.monotonic() + ms
      signal.addEventListener('abort', () => runtime.advance(Math.max(0, until - runtime.monotonic())))
    }
    return signal
  })
  return given
}
