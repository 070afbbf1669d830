import type { Runtime } from './runtime.ts'

/**
 * The one module that judges time. The wall clock may be wrong: it is set ahead or back while the app runs, it is wrong
 * when the app starts, and it differs a little between machines. Whatever removes, ends or holds something by age asks
 * here; nothing else compares `now` with a stored moment to do that.
 *
 * Moments (`now`, `since`, `until`, and what is stored) are milliseconds since 1970 by the wall clock; lengths are
 * milliseconds.
 */

/** How far the clocks of two machines may be apart. A stored moment that is further ahead was noted by a wrong clock. */
export const CLOCKS_APART_MS = 60_000
/** Between two looks: a larger difference of wall and monotonic clock is a jump. Smaller ones are followed. */
export const JUMP_MS = 5_000
/** A clock that has not jumped for this long is believed, also after a start. */
export const BELIEVED_AFTER_MS = 3_600_000

/** Whether a clock that is right can have noted this moment by now. */
export const isPlausible = (moment: number, now: number): boolean => moment <= now + CLOCKS_APART_MS

/** Really older than `ms`. A moment in the future is of unknown age, and never old. */
export const isOlderThan = (moment: number, ms: number, now: number): boolean =>
  moment < now - Math.max(ms, 0)

/** A wait that was noted at `since`. */
export interface Wait {
  readonly since: number
  readonly until: number
}

/**
 * How long, in ms, this wait still lasts; 0 when it is over. Never longer than it was when it was noted, nor than
 * `longestMs`. A `since` in the future says that the clock was set back: such a wait is over.
 */
export function waitLeft({ since, until }: Wait, now: number, longestMs: number): number {
  if (!isPlausible(since, now)) return 0
  return Math.max(0, Math.min(until - now, until - since, longestMs))
}

/** The latest moment at which a wait or lease of at most `lengthMs` can end that was taken by now. */
export const latestEnd = (now: number, lengthMs: number): number => now + lengthMs + CLOCKS_APART_MS

/**
 * Which ends of leases say that the lease has ended: those in (`after`, `now`], and those beyond `latest`, which were
 * taken before the clock was set back. `now` is the wall clock, as it is.
 */
export interface LeaseEnds {
  readonly after: number
  readonly now: number
  readonly latest: number
}

/** Says what is old, by a clock that is watched. One for each process. */
export interface SteadyClock {
  /** The wall clock; after a jump, the time as it would be without, until the jump has stood for an hour. */
  now(): number
  /** For how long, in ms, the wall clock has run without a jump; since the start at most. */
  steadyMs(): number
  /**
   * For removal by age: what was stored before this moment is older than `ms`. Undefined: nothing may be removed by
   * age yet, since the clock has not run steadily for an hour.
   */
  oldBefore(ms: number): number | undefined
  /**
   * For leases of at most `lengthMs`, under which something runs. While the clock is younger than a lease, an end that
   * is far from now says nothing: its holder may be at work, under the clock as it was. After a jump no end does; after
   * a start, those of the last minute do.
   */
  leaseEnds(lengthMs: number): LeaseEnds
  /**
   * How long, in ms, a lease of `lengthMs` may still last; 0: it has ended. It has when this process has seen it unchanged
   * for its length (`unchangedMs`), or when its end was within the last minute by a wall clock that has not jumped
   * meanwhile. An end that is further from now may have been noted by a clock that was wrong, here or elsewhere.
   */
  leaseLeft(end: number, lengthMs: number, unchangedMs: number): number
}

/** For how long, in ms, this process has seen `name` with the same `mark`, by the monotonic clock; 0 at first sight. */
export type Unchanged = (name: string, mark: string) => number

/** Keeps one entry for each name. */
export function createUnchanged(runtime: Pick<Runtime, 'monotonic'>): Unchanged {
  const seen = new Map<string, { mark: string; since: number }>()
  return (name, mark) => {
    const known = seen.get(name)
    if (known?.mark === mark) return runtime.monotonic() - known.since
    seen.set(name, { mark, since: runtime.monotonic() })
    return 0
  }
}

/** `jumped` is told of each jump in ms: above 0, the clock was set ahead. */
export function createSteadyClock(
  runtime: Pick<Runtime, 'now' | 'monotonic'>,
  jumped: (ms: number) => void = () => {},
): SteadyClock {
  const distance = () => runtime.now() - runtime.monotonic()
  let last = distance()
  /** The distance that counts: that of before the jump, until the new one is believed. */
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
    // Set right again, or by less than what counts as a jump: nothing to wait for.
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
