import type { Runtime } from '../../process/runtime.ts'

/** How much the dispatcher takes at once, and how it gives way to webhooks that are arriving. */
export interface Pace {
  /** How many deliveries to claim now: about as many as half a second will finish, at the speed since the last claim. */
  batch(): number
  finished(): void
  arrived(): void
  /** Called after a claim: the wait before the next one, in ms. */
  pause(): number
}

/** In a large claim more of the random dedupe keys share a page; a small claim delays answers less. */
const MOST = 500
const MOST_BUSY = 50
const LOOK_AHEAD_MS = 500
const MIN_PAUSE_MS = 5
const MAX_PAUSE_MS = 62
const BUSY = 0.1

/**
 * A sender waits ten seconds for its answer, but a stored delivery can wait. So while webhooks arrive claims are small, and
 * when the process has no idle time left they become rarer, down to sixteen a second. Batches share the cost of a commit;
 * small ones also keep slow handlers from leasing what another process could run.
 */
export function createPace(concurrency: number, runtime: Pick<Runtime, 'monotonic' | 'idle'>): Pace {
  let [last, lastIdle] = [runtime.monotonic(), runtime.idle()]
  let [finished, arrived] = [0, 0]
  let pause = 0
  return {
    // The time that a claim takes is not in it: it says nothing of handlers, and where claims are slow, as those of many
    // instances are that take turns, smaller ones would only make them more.
    batch() {
      const ms = Math.max(runtime.monotonic() - last, 0.1)
      const wanted = Math.round((finished / ms) * LOOK_AHEAD_MS)
      return Math.max(Math.min(wanted, arrived > 0 ? MOST_BUSY : MOST), concurrency)
    },
    finished() {
      finished++
    },
    arrived() {
      arrived++
    },
    pause() {
      const [now, idle] = [runtime.monotonic(), runtime.idle()]
      const ms = Math.max(now - last, 0.1)
      const busy = arrived > 0 && (idle - lastIdle) / ms < BUSY
      pause = busy ? Math.min(Math.max(pause * 2, MIN_PAUSE_MS), MAX_PAUSE_MS) : Math.floor(pause / 2)
      ;[last, lastIdle, finished, arrived] = [now, idle, 0, 0]
      return pause < MIN_PAUSE_MS ? 0 : pause
    },
  }
}
