import { type Wait, waitLeft } from '../process/trusted-time.ts'
import { type GrantKey, RATE, USER_RATE } from './platform.ts'
import type { RateHeaders } from './rate-headers.ts'

/** At most `limit` requests in any stretch of `lengthMs`. */
export interface Window {
  readonly limit: number
  readonly lengthMs: number
}

/**
 * The recent requests of one connection, whichever process sent them. Moments are ms since 1970. A request counts from
 * before it is sent until a window's length after its end. Revento counts it at some moment in between, so none of
 * Revento's minutes or hours gets too many, wherever it begins and however slow the network is.
 */
export interface Budget {
  /** When it was stored. */
  readonly at: number
  /** When the requests of the longest window ended, oldest first. */
  readonly ended: readonly number[]
  /** As `ended`, but only for requests whose callers have a share of the windows; see `Wait` in rate-limiter. */
  readonly shared?: readonly number[]
  /** When the requests that have not ended began, by their id. */
  readonly open: Readonly<Record<string, number>>
  /** Nothing is sent during this pause: Revento asked for it, or said that no request is left. */
  readonly pause?: Wait | undefined
  /** How many requests were left by Revento's own count, and until when that count holds. */
  readonly quota?: (Wait & { readonly remaining: number }) | undefined
}

/** What happened to a request, and when. An `unsent` request was charged and then not sent. */
export type BudgetEvent =
  | { readonly kind: 'begun' | 'ended' | 'unsent'; readonly id: string; readonly at: number }
  | { readonly kind: 'answered'; readonly rate: RateHeaders; readonly at: number }

type Limits = Pick<Budget, 'pause' | 'quota'>

const windowsOf = ({ perMinute, perHour }: { perMinute: number; perHour: number }): readonly Window[] => [
  { limit: perMinute, lengthMs: 60_000 },
  { limit: perHour, lengthMs: 3_600_000 },
]
/** Revento's own limits. */
export const WINDOWS = windowsOf(RATE)
export const USER_WINDOWS = windowsOf(USER_RATE)

export const UNUSED: Budget = { at: 0, ended: [], open: {} }

/** No window is longer than an hour: a later reset comes from a wrong clock or a wrong unit. */
const LONGEST_PAUSE_MS = 3_600_000
/** A request takes less than this, its token included: the process that sent an older open one has died. */
const UNANSWERED_MS = 60_000
/** Smaller differences come from reading two clocks in turn. Followed each time, they would keep moments from ageing. */
const LEAST_SHIFT_MS = 50

/** The id of a request says whether its caller has a share. */
const SHARED = 'shared '
export const sharedId = (id: string): string => SHARED + id
const isShared = (id: string) => id.startsWith(SHARED)

/** The requests of callers with a share, as if there were no others. */
export const sharedOf = ({ at, shared = [], open }: Budget): Budget => ({
  at,
  ended: shared,
  open: Object.fromEntries(Object.entries(open).filter(([id]) => isShared(id))),
})

export function after(budget: Budget, events: readonly BudgetEvent[]): Budget {
  const open = { ...budget.open }
  const ended = [...budget.ended]
  const shared = [...(budget.shared ?? [])]
  let limits: Limits = { pause: budget.pause, quota: budget.quota }
  for (const event of events) {
    if (event.kind === 'answered') limits = limited(limits, event.rate, event.at)
    else if (event.kind === 'begun') open[event.id] = event.at
    else delete open[event.id]
    if (event.kind === 'ended') ended.push(event.at)
    if (event.kind === 'ended' && isShared(event.id)) shared.push(event.at)
  }
  return { at: budget.at, ended, ...(shared.length > 0 && { shared }), open, ...limits }
}

/** When this process last read the budget: `sinceMs` ago. The wall clock was set by `jumpMs` since then. */
interface LastLook {
  readonly sinceMs: number
  readonly jumpMs: number
}
export const NO_LOOK: LastLook = { sinceMs: Number.POSITIVE_INFINITY, jumpMs: 0 }

/**
 * The budget with its moments moved to the clock as it is now. Clocks are set while the app runs and differ between
 * machines, so a moment counts by its distance from `budget.at`. The budget was stored by now, and not before this
 * process read it last; if the clock was set ahead meanwhile, perhaps earlier. A new process believes the clock.
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
    ...(budget.shared && { shared: budget.shared.map(at => at + shift) }),
    open: Object.fromEntries(Object.entries(budget.open).map(([id, begun]) => [id, begun + shift])),
    pause: moved(budget.pause),
    quota: moved(budget.quota),
  }
}

/** The budget without what has left every window. */
export function current(budget: Budget, now: number, windows: readonly Window[]): Budget {
  const longest = Math.max(...windows.map(window => window.lengthMs))
  const open = Object.entries(budget.open)
  const died = open.filter(([, begun]) => begun < now - UNANSWERED_MS)
  const ended = [...budget.ended, ...died.map(([, begun]) => begun + UNANSWERED_MS)]
  const shared = [
    ...(budget.shared ?? []),
    ...died.filter(([id]) => isShared(id)).map(([, begun]) => begun + UNANSWERED_MS),
  ]
  const left = (moments: readonly number[]) =>
    moments.filter(at => at > now - longest).toSorted((a, b) => a - b)
  const lasting = <T extends Wait>(wait: T | undefined): T | undefined =>
    wait && waitLeft(wait, now, LONGEST_PAUSE_MS) > 0 ? wait : undefined
  return {
    at: now,
    ended: left(ended),
    ...(shared.length > 0 && { shared: left(shared) }),
    open: Object.fromEntries(open.filter(([, begun]) => begun >= now - UNANSWERED_MS)),
    pause: lasting(budget.pause),
    quota: lasting(budget.quota),
  }
}

/** Whether one more request may be sent now. The budget must be as of now, as for `earliest`. */
export const hasRoom = (budget: Budget, now: number, windows: readonly Window[]): boolean =>
  earliest(budget, 1, now, windows) <= now &&
  unanswered(budget) < (budget.quota?.remaining ?? Number.POSITIVE_INFINITY)

/** The earliest moment at which `n` more requests can have been sent, if answers under way bring no new limits. */
export function earliest(budget: Budget, n: number, now: number, windows: readonly Window[]): number {
  const { pause, quota } = budget
  const until = (wait: Wait | undefined) => (wait ? now + waitLeft(wait, now, LONGEST_PAUSE_MS) : now)
  const reset = quota && n > quota.remaining ? until(quota) : now
  return Math.max(until(pause), reset, ...windows.map(window => fits(budget, n, now, window)))
}

export const unanswered = (budget: Budget): number => Object.keys(budget.open).length

/** When the `n`th request from now fits into a window: as soon as enough earlier ones have left it. */
function fits(budget: Budget, n: number, now: number, window: Window): number {
  const { limit, lengthMs } = window
  if (n > limit) return fits(budget, n - limit, now, window) + lengthMs
  const first = budget.ended.findLastIndex(end => end <= now - lengthMs) + 1
  const surplus = budget.ended.length - first + unanswered(budget) + n - limit
  if (surplus <= 0) return now
  // A request in flight leaves the window last: it ends now at the earliest.
  return (budget.ended[first + surplus - 1] ?? now) + lengthMs
}

function limited({ pause, quota }: Limits, rate: RateHeaders, now: number): Limits {
  const paused = (ms: number) => {
    const until = now + Math.min(ms, LONGEST_PAUSE_MS)
    return pause && pause.until > until ? pause : { since: now, until }
  }
  if (rate.retryAfterMs !== undefined) return { pause: paused(rate.retryAfterMs), quota }
  if (!rate.budget) return { pause, quota }
  const { remaining, resetAt } = rate.budget
  const until = Math.min(resetAt, now + LONGEST_PAUSE_MS)
  // Answers may arrive in another order than Revento gave them: the lowest count of a window is the latest.
  const lowest = quota?.until === until ? Math.min(quota.remaining, remaining) : remaining
  return {
    pause: remaining === 0 ? paused(resetAt - now) : pause,
    quota: { since: now, until, remaining: lowest },
  }
}

/**
 * The budgets of all connections, a row each, so that all processes on the database share them. Revento counts by token;
 * a connection has one token at a time, and the next token takes over the count of the last.
 */
export interface Budgets {
  /** Replaces a budget by the one that `work` returns, under a lock. `work` runs again after a lost transaction. */
  change<T extends { readonly budget: Budget }>(grant: GrantKey, work: (budget: Budget) => T): Promise<T>
}
