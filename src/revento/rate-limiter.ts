import { StorageError } from '../process/errors.ts'
import type { Runtime } from '../process/runtime.ts'
import { ApiError } from './api-error.ts'
import {
  after,
  asOf,
  type Budget,
  type BudgetEvent,
  current,
  earliest,
  hasRoom,
  NO_LOOK,
  sharedId,
  sharedOf,
  UNUSED,
  unanswered,
  type Window,
} from './budget.ts'
import { RATE } from './platform.ts'
import type { RateHeaders } from './rate-headers.ts'

/** A caller waits until `deadline` (ms, on the monotonic clock) or until its signal fires. */
export interface Wait {
  readonly deadline: number
  readonly signal?: AbortSignal | undefined
  /** Set by a caller that comes back when it is refused: says how many requests it will need then. */
  readonly comesBackFor?: () => number
  /** Set by callers that yield to all others: together they have only these windows, and they send last. */
  readonly share?: readonly Window[] | undefined
}

/** One of this process's five places in flight, from which a caller sends one request at a time. */
interface Place {
  /** Sends as soon as the budget has room. `request` passes the headers of its answer to `onRate`. */
  send<T>(request: (onRate: (rate: RateHeaders) => void) => Promise<T>): Promise<T>
}

export interface Limiter {
  /**
   * Runs `use` in a place, in the order of the calls. Throws ApiError `rate_budget_used` as soon as the wait is known to
   * outlast the caller's deadline, and the signal's reason when the signal fires.
   */
  run<T>(wait: Wait, use: (place: Place) => Promise<T>): Promise<T>
  /** No caller uses or awaits a place, and nothing is remembered here that the stored budget does not say. */
  isIdle(): boolean
}

interface LimiterOptions {
  readonly windows: readonly Window[]
  /** Replaces the connection's budget by the one that `work` returns, under a lock. */
  change<T extends { readonly budget: Budget }>(work: (budget: Budget) => T): Promise<T>
}

interface Waiting {
  readonly wait: Wait
  /** The caller has a place and wants to send again: it goes before callers without one. */
  readonly begun: boolean
  admit(id: string): void
  refuse(error: unknown): void
}

/** The budget as it was stored, when, and the callers it admitted, each with the id of its request. */
interface Look {
  readonly budget: Budget
  readonly admitted: readonly (readonly [Waiting, string])[]
  readonly now: number
  readonly lookedAt: number
}

const isBegun = ({ begun, wait }: Waiting) => begun && wait.share === undefined
const isAnybody = () => true
const isNotSharing = ({ wait }: Waiting) => wait.share === undefined

/** A timer cannot be longer than 24 days; looking again every hour costs nothing. */
const LONGEST_SLEEP_MS = 3_600_000
/** How often the budget is read while another process has requests in flight: their end is only seen there. */
const LOOK_AGAIN_MS = 250

export function createLimiter({ windows, change }: LimiterOptions, runtime: Runtime): Limiter {
  const longestMs = Math.max(...windows.map(window => window.lengthMs))
  let line: Waiting[] = []
  let places = 0
  let unsettled = 0
  let alarm = new AbortController()
  /** The budget as this process stored it last, and the events since then, whose `at` is on the monotonic clock. */
  let known: Budget = UNUSED
  let knownAt: { wall: number; monotonic: number } | undefined
  let news: BudgetEvent[] = []
  /** The moments at which refused callers that come back have their turn. */
  let booked: number[] = []
  let usedAt = runtime.monotonic()
  let looking = false
  let lookAgain = false

  /** Waits until one request is charged to the budget, and takes a place unless `begun`. Returns the request's id. */
  async function admission(wait: Wait, begun: boolean): Promise<string> {
    wait.signal?.throwIfAborted()
    return new Promise<string>((resolve, reject) => {
      const leave = () => {
        line = line.filter(other => other !== waiting)
        wait.signal?.removeEventListener('abort', abort)
      }
      const waiting: Waiting = {
        wait,
        begun,
        admit(id) {
          leave()
          if (!begun) places += 1
          resolve(id)
        },
        refuse(error) {
          leave()
          reject(error)
        },
      }
      const abort = () => {
        waiting.refuse(wait.signal?.reason)
        look()
      }
      wait.signal?.addEventListener('abort', abort, { once: true })
      const after = wait.share ? isAnybody : begun ? isBegun : isNotSharing
      line.splice(line.filter(after).length, 0, waiting)
      look()
    })
  }

  function happened(kind: 'ended' | 'unsent', id: string): void {
    unsettled -= 1
    news.push({ kind, id, at: runtime.monotonic() })
    look()
  }

  /** Called after every change. Looks do not overlap: what changes during one is seen by the next. */
  function look(): void {
    lookAgain = true
    usedAt = runtime.monotonic()
    if (looking) return
    looking = true
    void looks()
  }

  async function looks(): Promise<void> {
    while (lookAgain) {
      lookAgain = false
      try {
        await admitThenRefuse()
      } catch (error) {
        for (const { refuse } of line) refuse(error)
      }
    }
    looking = false
  }

  /** Starts callers whose turn it is, rejects those whose deadline would pass first, and sets the next alarm. */
  async function admitThenRefuse(): Promise<void> {
    const { budget, admitted, now, lookedAt } = await stored()
    unsettled += admitted.length
    for (const [waiting, id] of admitted) {
      if (line.includes(waiting)) waiting.admit(id)
      else happened('unsent', id)
    }
    const shared = sharedOf(budget)
    const left = (n: number, share: readonly Window[] = []) =>
      Math.max(0, turn(n, share) - now - (runtime.monotonic() - lookedAt))
    const turn = (n: number, share: readonly Window[]) =>
      Math.max(earliest(budget, n, now, windows), earliest(shared, n, now, share))
    let ahead = 0
    for (const { wait, refuse } of [...line]) {
      const waitMs = left(ahead + 1, wait.share)
      const remainingMs = wait.deadline - runtime.monotonic()
      if (remainingMs > 0 && waitMs <= remainingMs) ahead += 1
      else
        refuse(
          new ApiError(
            'rate_budget_used',
            0,
            '',
            wait.comesBackFor ? book(wait.comesBackFor(), left) : waitMs,
          ),
        )
    }
    setAlarm(budget, left(1, line[0]?.wait.share))
  }

  /**
   * Stores the events and admits callers. While the store cannot be written this process counts by itself, so that calls
   * go on. The clocks are read under the lock, so that what another process stored before is in the past.
   */
  async function stored(): Promise<Look> {
    const events = [...news]
    const work = (before: Budget): Look => {
      const [now, lookedAt] = [runtime.now(), runtime.monotonic()]
      const sinceMs = lookedAt - (knownAt?.monotonic ?? 0)
      const lastLook = knownAt ? { sinceMs, jumpMs: now - knownAt.wall - sinceMs } : NO_LOOK
      const dated = events.map(event => ({ ...event, at: Math.round(now - (lookedAt - event.at)) }))
      const budget = current(after(asOf(before, now, lastLook), dated), now, windows)
      return { ...admitted(budget, now), now, lookedAt }
    }
    try {
      const result = await change(work)
      news = news.slice(events.length)
      known = result.budget
      knownAt = { wall: result.now, monotonic: result.lookedAt }
      return result
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      const result = work(known)
      news.push(...result.admitted.map(([, id]) => ({ kind: 'begun' as const, id, at: result.lookedAt })))
      return result
    }
  }

  function admitted(before: Budget, now: number): Pick<Look, 'budget' | 'admitted'> {
    let budget = before
    let free = RATE.inFlight - places
    const admitted: (readonly [Waiting, string])[] = []
    for (const waiting of line) {
      const { begun, wait } = waiting
      const { share } = wait
      if (!hasRoom(budget, now, windows) || (!begun && free === 0)) break
      if (share && !hasRoom(sharedOf(budget), now, share)) break
      const id = share ? sharedId(runtime.uuid()) : runtime.uuid()
      budget = after(budget, [{ kind: 'begun', id, at: now }])
      if (!begun) free -= 1
      admitted.push([waiting, id])
    }
    return { budget, admitted }
  }

  /** Returns the wait in ms. Each refused caller gets a later turn than the one before: else all would return at once. */
  function book(requests: number, left: (n: number) => number): number {
    const now = runtime.monotonic()
    booked = booked.filter(at => at > now)
    const waitMs = Math.min(left(booked.length + 1), longestMs)
    booked.push(...Array<number>(requests).fill(now + waitMs))
    return waitMs
  }

  function setAlarm(budget: Budget, roomInMs: number): void {
    alarm.abort()
    if (line.length === 0) return
    const othersAreBusy = unanswered(budget) > unsettled
    const room = roomInMs > 0 ? roomInMs : othersAreBusy ? LOOK_AGAIN_MS : Number.POSITIVE_INFINITY
    const deadlines = line.map(({ wait }) => wait.deadline - runtime.monotonic())
    alarm = new AbortController()
    const ms = Math.min(...deadlines, room, LONGEST_SLEEP_MS)
    runtime.sleep(ms, alarm.signal).then(look, () => {})
  }

  return {
    async run(wait, use) {
      let id: string | undefined = await admission(wait, false)
      const place: Place = {
        async send(request) {
          id ??= await admission(wait, true)
          wait.signal?.throwIfAborted()
          const sent = id
          try {
            return await request(rate => void news.push({ kind: 'answered', rate, at: runtime.monotonic() }))
          } finally {
            id = undefined
            happened('ended', sent)
          }
        },
      }
      try {
        return await use(place)
      } finally {
        places -= 1
        if (id === undefined) look()
        else happened('unsent', id)
      }
    },
    isIdle: () =>
      places === 0 &&
      line.length === 0 &&
      news.length === 0 &&
      !looking &&
      runtime.monotonic() - usedAt > longestMs &&
      booked.every(at => at < runtime.monotonic()),
  }
}
