import { type Wait, waitLeft } from '../process/trusted-time.ts'
import { RATE } from './platform.ts'
import type { Told } from './rate-headers.ts'

/** At most `limit` requests in any stretch of `lengthMs`. */
export interface Window {
  readonly limit: number
  readonly lengthMs: number
}

/**
 * What is remembered of one connection's requests, whichever process sent them. Moments are ms since 1970. A request
 * counts from before it is sent until a window's length after its end. Revento sees it at some moment in between, so no
 * minute or hour of Revento's, wherever it begins and however slow the network, holds too many.
 */
export interface Budget {
  /** When it was stored. */
  readonly at: number
  /** When the requests of the longest window ended, oldest first. */
  readonly ended: readonly number[]
  /** When the others began, by their id. */
  readonly open: Readonly<Record<string, number>>
  /** Nothing is sent meanwhile: Revento asked for it, or said that nothing is left. */
  readonly hold?: Wait | undefined
  /** So many requests are left until then, Revento said. */
  readonly told?: (Wait & { readonly remaining: number }) | undefined
}

/** What happened to a request, at a moment. `unsent`: it was not sent after all. */
export type BudgetEvent =
  | { readonly kind: 'begun' | 'ended' | 'unsent'; readonly id: string; readonly at: number }
  | { readonly kind: 'told'; readonly told: Told; readonly at: number }

type Heard = Pick<Budget, 'hold' | 'told'>

/** Revento's own. */
export const WINDOWS: readonly Window[] = [
  { limit: RATE.perMinute, lengthMs: 60_000 },
  { limit: RATE.perHour, lengthMs: 3_600_000 },
]

export const UNUSED: Budget = { at: 0, ended: [], open: {} }

/** No window is longer than an hour: a reset beyond that is a slip of somebody's clock or unit. */
const LONGEST_HOLD_MS = 3_600_000
/** Waiting for a token and for an answer are both bounded to less: the process that sent such a request has died. */
const UNANSWERED_MS = 60_000
/** Two clocks are never read at the same moment: followed at each look, that would keep what happened from ageing. */
const LEAST_SHIFT_MS = 50

export function after(budget: Budget, events: readonly BudgetEvent[]): Budget {
  const open = { ...budget.open }
  const ended = [...budget.ended]
  let { hold, told } = budget
  for (const event of events) {
    if (event.kind === 'told') ({ hold, told } = hear({ hold, told }, event.told, event.at))
    else if (event.kind === 'begun') open[event.id] = event.at
    else delete open[event.id]
    if (event.kind === 'ended') ended.push(event.at)
  }
  return { at: budget.at, ended, open, hold, told }
}

/** When this process looked last: that was `sinceMs` ago, and the wall clock has been set by `jumpMs` meanwhile. */
interface LastLook {
  readonly sinceMs: number
  readonly jumpMs: number
}
export const NO_LOOK: LastLook = { sinceMs: Number.POSITIVE_INFINITY, jumpMs: 0 }

/**
 * The same by the clock as it is now. Clocks are set while the app runs, and those of two machines differ: what counts is
 * how long before it was stored a thing happened. It was stored by now, and not before this process stored it itself;
 * if the clock was set ahead, perhaps before that. A process that has just started believes the clock.
 */
export function asOf(budget: Budget, now: number, { sinceMs, jumpMs }: LastLook): Budget {
  const storedAt = Math.min(Math.max(budget.at + Math.max(jumpMs, 0), now - sinceMs), now)
  const difference = Math.round(storedAt - budget.at)
  const shift = Math.abs(difference) < LEAST_SHIFT_MS ? 0 : difference
  const moved = <T extends Wait>(wait: T | undefined): T | undefined =>
    wait && { ...wait, since: wait.since + shift, until: wait.until + shift }
  return {
    at: now,
    ended: budget.ended.map(at => at + shift),
    open: Object.fromEntries(Object.entries(budget.open).map(([id, begun]) => [id, begun + shift])),
    hold: moved(budget.hold),
    told: moved(budget.told),
  }
}

/** Without what counts no longer. */
export function current(budget: Budget, now: number, windows: readonly Window[]): Budget {
  const longest = Math.max(...windows.map(window => window.lengthMs))
  const open = Object.entries(budget.open)
  const died = open.filter(([, begun]) => begun < now - UNANSWERED_MS)
  const ended = [...budget.ended, ...died.map(([, begun]) => begun + UNANSWERED_MS)]
  const lasting = <T extends Wait>(wait: T | undefined): T | undefined =>
    wait && waitLeft(wait, now, LONGEST_HOLD_MS) > 0 ? wait : undefined
  return {
    at: now,
    ended: ended.filter(at => at > now - longest).toSorted((a, b) => a - b),
    open: Object.fromEntries(open.filter(([, begun]) => begun >= now - UNANSWERED_MS)),
    hold: lasting(budget.hold),
    told: lasting(budget.told),
  }
}

/** One more request may be sent now. For a budget as of now, as the next one. */
export const hasRoom = (budget: Budget, now: number, windows: readonly Window[]): boolean =>
  earliest(budget, 1, now, windows) <= now &&
  unanswered(budget) < (budget.told?.remaining ?? Number.POSITIVE_INFINITY)

/** When `n` more requests could be on their way; a lower bound while it depends on answers to come. */
export function earliest(budget: Budget, n: number, now: number, windows: readonly Window[]): number {
  const { hold, told } = budget
  const until = (wait: Wait | undefined) => (wait ? now + waitLeft(wait, now, LONGEST_HOLD_MS) : now)
  const reset = told && n > told.remaining ? until(told) : now
  return Math.max(until(hold), reset, ...windows.map(window => fits(budget, n, now, window)))
}

export const unanswered = (budget: Budget): number => Object.keys(budget.open).length

/** When the `n`th from here fits into a window: as soon as enough of those in it have left it. */
function fits(budget: Budget, n: number, now: number, window: Window): number {
  const { limit, lengthMs } = window
  if (n > limit) return fits(budget, n - limit, now, window) + lengthMs
  const first = budget.ended.findLastIndex(end => end <= now - lengthMs) + 1
  const surplus = budget.ended.length - first + unanswered(budget) + n - limit
  if (surplus <= 0) return now
  // Beyond those that have ended it waits for one in flight, which ends now at the earliest.
  return (budget.ended[first + surplus - 1] ?? now) + lengthMs
}

function hear({ hold, told }: Heard, said: Told, now: number): Heard {
  const held = (ms: number) => {
    const until = now + Math.min(ms, LONGEST_HOLD_MS)
    return hold && hold.until > until ? hold : { since: now, until }
  }
  if (said.retryAfterMs !== undefined) return { hold: held(said.retryAfterMs), told }
  if (!said.budget) return { hold, told }
  const { remaining, resetAt } = said.budget
  const until = Math.min(resetAt, now + LONGEST_HOLD_MS)
  // Answers overtake each other: of one window the lowest count is the latest.
  const lowest = told?.until === until ? Math.min(told.remaining, remaining) : remaining
  return {
    hold: remaining === 0 ? held(resetAt - now) : hold,
    told: { since: now, until, remaining: lowest },
  }
}

/** Whose budget a call uses. */
export interface ApiConnection {
  readonly eventId: string
  readonly organizationId: string
}

/**
 * The budgets of all connections, one row each, so that every process on the database spends the same. Revento counts
 * by token; a connection has one token at a time, and its next one goes on where the last one stood.
 */
export interface Budgets {
  /**
   * Replaces a connection's budget by what `work` makes of it, with nobody else in between. `work` may run again where
   * the database kept nothing of it.
   */
  change<T extends { readonly budget: Budget }>(
    connection: ApiConnection,
    work: (budget: Budget) => T,
  ): Promise<T>
}
