import type { Runtime } from '../../process/runtime.ts'

/** Deliveries that wait until another one has gone out before them. */
export interface Overtaking {
  /** Twenty seconds at most; rejects when the sandbox stops. */
  wait(): Promise<void>
  /** One has gone out: whoever waits may go. */
  passed(): void
}

const WITHIN_MS = 20_000

export function createOvertaking(runtime: Pick<Runtime, 'sleep'>, stopping: AbortSignal): Overtaking {
  const waiting = new Set<AbortController>()
  return {
    async wait() {
      const overtaken = new AbortController()
      waiting.add(overtaken)
      await runtime.sleep(WITHIN_MS, AbortSignal.any([overtaken.signal, stopping])).catch(() => {})
      waiting.delete(overtaken)
      stopping.throwIfAborted()
    },
    passed() {
      for (const overtaken of waiting) overtaken.abort()
    },
  }
}
