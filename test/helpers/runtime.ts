import { type Runtime, systemRuntime } from '../../src/runtime.ts'

export interface TestRuntime extends Runtime {
  /** Moves the clock; what sleeps goes on sleeping in real time. */
  advance(ms: number): void
}

export function testRuntime(): TestRuntime {
  let offset = 0
  return {
    ...systemRuntime,
    now: () => Date.now() + offset,
    // A test machine's load is not what the app gives way to.
    late: () => 0,
    advance(ms) {
      offset += ms
    },
  }
}
