import type { Runtime } from './runtime.ts'

/**
 * The one module that judges time. The wall clock may be wrong: it is set ahead or back while the app runs, it is wrong
 * when the app starts, and it differs a little between machines. Code that removes, ends or delays something by age asks
 * here, and never compares `now` with a stored moment itself. Moments are milliseconds since 1970, lengths milliseconds.
 */

/** How far the clocks of two machines may differ. A stored moment further ahead was written by a wrong clock. */
const CLOCKS_APART_MS = 60_000
/** A larger change of the distance between wall and monotonic clock is a jump; a smaller one is followed. */
const JUMP_MS = 5_000
/** A clock is believed when it has not jumped for this long; after a start it takes as long. */
export const BELIEVED_AFTER_MS = 3_600_000

/** Whether a right clock can have written this moment by now. */
export const isPlausible = (moment: number, now: number): boolean => moment <= now + CLOCKS_APART_MS

/** Whether a moment is older than `ms`. A moment in the future has an unknown age, and is never old. */
export const isOlderThan = (moment: number, ms: number, now: number): boolean =>
  moment < now - Math.max(ms, 0)

/** A wait until a moment, which was written at `since`. */
export interface Wait {
  readonly since: number
  readonly until: number
}

/**
 * How long, in ms, a wait still lasts; 0 when it is over. It is never longer than it was at `since`, nor than
 * `longestMs`. A `since` in the future shows that the clock was set back: such a wait is over.
 */
export function waitLeft({ since, until }: Wait, now: number, longestMs: number): number {
  if (!isPlausible(since, now)) return 0
  return Math.max(0, Math.min(until - now, until - since, longestMs))
}

/** The latest possible end of a wait or lease of at most `lengthMs` that has begun by now. */
export const latestEnd = (now: number, lengthMs: number): number => now + lengthMs + CLOCKS_APART_MS

/**
 * The ends of leases that have ended: those in (`after`, `now`], and those beyond `latest`, whose leases were taken
 * before the clock was set back. `now` is the wall clock as it stands.
 */
export interface LeaseEnds {
  readonly after: number
  readonly now: number
  readonly latest: number
}

/** A clock that is watched for jumps, and says what is old. Each process has one. */
export interface SteadyClock {
  /** The wall clock. After a jump, the time without the jump, until the jump has stood for an hour. */
  now(): number
  /** For how many ms the wall clock has run without a jump; at most since the start. */
  steadyMs(): number
  /**
   * For removal by age: rows from before this moment are older than `ms`. Undefined while nothing may be removed by age,
   * because the clock has not run steadily for an hour.
   */
  oldBefore(ms: number): number | undefined
  /**
   * For leases of at most `lengthMs`. While the clock has run steadily for less than a lease, an end far from now proves
   * nothing: its owner may be at work by the clock as it was. After a jump no end proves anything; after a start, only
   * ends within the last minute do.
   */
  leaseEnds(lengthMs: number): LeaseEnds
  /**
   * How long, in ms, a lease of `lengthMs` may still last; 0 when it has ended. It has ended when this process has seen it
   * unchanged for its length (`unchangedMs`), or when its end lies within the last minute by a wall clock that has not
   * jumped meanwhile. An older end may have been written by a wrong clock, here or elsewhere.
   */
  leaseLeft(end: number, lengthMs: number, unchangedMs: number): number
}

/** For how many ms this process has seen `name` with the same `mark`, by the monotonic clock; 0 at first sight. */
export type Unchanged = (name: string, mark: string) => number

export function createUnchanged(runtime: Pick<Runtime, 'monotonic'>): Unchanged {
  const seen = new Map<string, { mark: string; since: number }>()
  return (name, mark) => {
    const known = seen.get(name)
    if (known?.mark === mark) return runtime.monotonic() - known.since
    seen.set(name, { mark, since: runtime.monotonic() })
    return 0
  }
}

/** `jumped` is called with each jump in ms; above 0 the clock was set ahead. */
export function createSteadyClock(
  runtime: Pick<Runtime, 'now' | 'monotonic'>,
  jumped: (ms: number) => void = () => {},
): SteadyClock {
  const distance = () => runtime.now() - runtime.monotonic()
  let last = distance()
  /** The distance in use: after a jump the one from before, until the new one is believed. */
  let believed = last
  let since = runtime.monotonic()
  let jumps = 0

  function steadyMs(): number {
    const current = distance()
    const monotonic = runtime.monotonic()
    const jump = current - last
    last = current
    if (Math.abs(jump) > JUMP_MS) {
      since = monotonic
      jumps++
      jumped(jump)
    }
    // A clock that was set right again, or by less than a jump, is believed at once.
    if (Math.abs(current - believed) <= JUMP_MS || monotonic - since >= BELIEVED_AFTER_MS) believed = current
    return monotonic - since
  }

  const now = () => {
    steadyMs()
    return Math.round(runtime.monotonic() + believed)
  }

  return {
    now,
    steadyMs,
    oldBefore: ms => (steadyMs() < BELIEVED_AFTER_MS ? undefined : now() - Math.max(ms, 0)),
    leaseEnds(lengthMs) {
      const steady = steadyMs() >= lengthMs
      const now = runtime.now()
      if (steady) return { after: Number.MIN_SAFE_INTEGER, now, latest: latestEnd(now, lengthMs) }
      return { after: jumps > 0 ? now : now - CLOCKS_APART_MS, now, latest: Number.MAX_SAFE_INTEGER }
    },
    leaseLeft(end, lengthMs, unchangedMs) {
      const hasJumped = steadyMs() < lengthMs && jumps > 0
      const left = end - runtime.now()
      const byClock = hasJumped || left <= -CLOCKS_APART_MS ? Number.POSITIVE_INFINITY : left
      return Math.max(0, Math.min(lengthMs - unchangedMs, byClock))
    },
  }
}
