import type { Runtime } from '../process/runtime.ts'
import type { Inbox } from './inbox/inbox.ts'

export interface Overload {
  /** Whether who comes now would get its answer too late. */
  isOver(): boolean
  /** The same inbox, whose slowness is watched. */
  watched(inbox: Inbox): Inbox
}

/** What is read now has waited in its socket as long as the event loop was late, and may wait as long again. */
const LATE_MS = 2_000
/** Deliveries are committed in the order they came: the next one waits about as long as the oldest has so far. */
const WAITED_MS = 4_000

/**
 * A sender gives up after ten seconds and comes again, so an answer that would come later than that is work for
 * nothing. Refused before its signature is checked: that costs a fraction, and what was let in is answered in time.
 */
export function createOverload(runtime: Pick<Runtime, 'late' | 'monotonic'>): Overload {
  /** When each that waits for its commit began; a Set keeps the order. */
  const waiting = new Set<{ since: number }>()
  const oldest = () => waiting.values().next().value

  return {
    isOver() {
      if (runtime.late() > LATE_MS) return true
      const first = oldest()
      return first !== undefined && runtime.monotonic() - first.since > WAITED_MS
    },
    watched: inbox => ({
      ...inbox,
      async append(delivery) {
        const one = { since: runtime.monotonic() }
        waiting.add(one)
        try {
          return await inbox.append(delivery)
        } finally {
          waiting.delete(one)
        }
      },
    }),
  }
}
