import { RATE } from './platform.ts'
import type { Told } from './told.ts'

const MINUTE = 60_000
const HOUR = 3_600_000
const WINDOWS = [
  { limit: RATE.perMinute, lengthMs: MINUTE },
  { limit: RATE.perHour, lengthMs: HOUR },
] as const

/** What one connection may still send: our own count of both windows, and what Revento last told. */
export interface Budget {
  /** One request may be sent at this moment. */
  hasRoom(): boolean
  /** When `n` more requests could be on their way; a lower bound while it depends on answers to come. */
  earliest(n: number): number
  /** One request is about to be sent. */
  begin(): void
  /** It was answered or given up. */
  end(): void
  /** It was not sent after all. */
  giveBack(): void
  hear(told: Told): void
  /** Nothing is remembered that could stop a request. */
  isEmpty(): boolean
}

/**
 * A request counts from before it is sent until a window's length after its end. Revento sees it at some moment in
 * between, so no minute or hour of Revento's, wherever it begins and however slow the network, holds too many.
 */
export function createBudget(now: () => number): Budget {
  /** When the requests of the last hour ended, oldest first. */
  let ends: number[] = []
  let unanswered = 0
  let heldUntil = 0
  let told: Told['budget']

  /** When the `n`th from here fits into a window: as soon as enough of those in it have left it. */
  function fits(n: number, window: (typeof WINDOWS)[number]): number {
    const { limit, lengthMs } = window
    if (n > limit) return fits(n - limit, window) + lengthMs
    const first = ends.findLastIndex(end => end <= now() - lengthMs) + 1
    const surplus = ends.length - first + unanswered + n - limit
    if (surplus <= 0) return now()
    // Beyond those that have ended it waits for one in flight, which ends now at the earliest.
    return (ends[first + surplus - 1] ?? now()) + lengthMs
  }

  const live = () => (told && told.resetAt > now() ? told : undefined)

  function earliest(n: number): number {
    const budget = live()
    const reset = budget && n > budget.remaining ? budget.resetAt : 0
    return Math.max(now(), heldUntil, reset, ...WINDOWS.map(window => fits(n, window)))
  }

  return {
    earliest,
    hasRoom: () => earliest(1) <= now() && unanswered < (live()?.remaining ?? Number.POSITIVE_INFINITY),
    begin() {
      unanswered += 1
    },
    giveBack() {
      unanswered -= 1
    },
    end() {
      unanswered -= 1
      ends = ends.filter(end => end > now() - HOUR)
      ends.push(now())
    },
    hear({ retryAfterMs, budget }) {
      if (retryAfterMs !== undefined) heldUntil = Math.max(heldUntil, now() + retryAfterMs)
      if (!budget) return
      // No window is longer than an hour: a reset beyond that is a slip of somebody's clock or unit.
      const resetAt = Math.min(budget.resetAt, now() + HOUR)
      if (budget.remaining === 0) heldUntil = Math.max(heldUntil, resetAt)
      // Answers overtake each other: of one window the lowest count is the latest.
      const same = told?.resetAt === resetAt ? told.remaining : Number.POSITIVE_INFINITY
      told = { remaining: Math.min(budget.remaining, same), resetAt }
    },
    isEmpty: () =>
      unanswered === 0 && heldUntil <= now() && !live() && ends.every(end => end <= now() - HOUR),
  }
}
