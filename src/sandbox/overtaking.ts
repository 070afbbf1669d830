import type { Runtime } from '../runtime.ts'

/** Deliveries that wait until another one has gone out before them. */
export interface Overtaking {
  /** Twenty seconds at most; rejects when the sandbox stops. */
  wait(id: string): Promise<void>
  /** This one has gone out: whoever else waits may go. */
  passed(id: string): void
}

const WITHIN_MS = 20_000

export function createOvertaking(runtime: Pick<Runtime, 'sleep'>, stopping: AbortSignal): Overtaking {
  const waiting = new Map<string, AbortController>()
  return {
    async wait(id) {
      const overtaken = new AbortController()
      waiting.set(id, overtaken)
      await runtime.sleep(WITHIN_MS, AbortSignal.any([overtaken.signal, stopping])).catch(() => {})
      waiting.delete(id)
      stopping.throwIfAborted()
    },
    passed(id) {
      for (const [other, overtaken] of waiting) if (other !== id) overtaken.abort()
    },
  }
}
