import { setImmediate as turn } from 'node:timers/promises'
import { type Runtime, systemRuntime } from '../../src/process/runtime.ts'

/** A runtime whose time stands still but for `pass`, which moves it when nothing else is left to do. */
export function virtualTime() {
  let now = Date.parse('2026-05-09T12:00:00Z')
  let set = 0
  const sleepers: { until: number; wake: () => void }[] = []
  const runtime: Runtime = {
    ...systemRuntime,
    now: () => now + set,
    monotonic: () => now,
    sleep: ms => new Promise(wake => void sleepers.push({ until: now + ms, wake })),
  }
  const settle = async () => {
    for (let i = 0; i < 4; i++) await turn()
  }
  return {
    runtime,
    settle,
    /** Sets the wall clock ahead, or back where `ms` is negative. */
    jump(ms: number) {
      set += ms
    },
    /** Moves the time by `ms`, and ends the sleeps on the way in their order. */
    async pass(ms: number) {
      const end = now + ms
      await settle()
      for (;;) {
        const next = sleepers.sort((a, b) => a.until - b.until)[0]
        if (!next || next.until > end) break
        sleepers.shift()
        now = Math.max(now, next.until)
        next.wake()
        await settle()
      }
      now = end
    },
  }
}
