import { vi } from 'vitest'
import type { TestRuntime } from './runtime.ts'

/**
 * What an HTTP request of the app is given, it gets a twentieth of, and the clocks go on by the rest. Gives how many ms
 * each was given.
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
