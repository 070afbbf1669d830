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
  UNUSED,
  unanswered,
  type Window,
} from './budget.ts'
import { RATE } from './platform.ts'
import type { Told } from './rate-headers.ts'

/** How long a caller waits: until `deadline` (ms, on the monotonic clock) or until its signal fires. */
export interface Wait {
  readonly deadline: number
  readonly signal?: AbortSignal | undefined
  /** A caller that comes back later when it is refused: how many requests it will want then, counted now. */
  readonly comesBackFor?: () => number
}

/** One of the five places in flight, which are this process's. Its holder sends one request at a time. */
export interface Place {
  /** Sends as soon as the budget has room; `hear` takes what the answer told. */
  send<T>(request: (hear: (told: Told) => void) => Promise<T>): Promise<T>
}

export interface Limiter {
  /**
   * Runs `use` in a place, first come, first served. Throws ApiError `rate_budget_used` as soon as the wait is known to
   * outlast the caller's deadline, and the signal's reason when it fires.
   */
  run<T>(wait: Wait, use: (place: Place) => Promise<T>): Promise<T>
  /** Nobody is in it, and it remembers nothing that the stored budget does not say. */
  isIdle(): boolean
}

interface LimiterOptions {
  readonly windows: readonly Window[]
  /** Replaces the connection's budget by what `work` makes of it, with nobody else in between. */
  change<T extends { readonly budget: Budget }>(work: (budget: Budget) => T): Promise<T>
}

interface Waiting {
  readonly wait: Wait
  /** It holds its place already and wants to send again: it goes before those that have not begun. */
  readonly begun: boolean
  admit(id: string): void
  refuse(error: unknown): void
}

/** The budget as it was stored, when, and who was admitted by it under which id. */
interface Look {
  readonly budget: Budget
  readonly admitted: readonly (readonly [Waiting, string])[]
  readonly now: number
  readonly lookedAt: number
}

/** A timer cannot be longer than 24 days; looking again in between costs nothing. */
const LONGEST_SLEEP_MS = 3_600_000
/** Another process does not tell when its request has ended. */
const LOOK_AGAIN_MS = 250

export function createLimiter({ windows, change }: LimiterOptions, runtime: Runtime): Limiter {
  const longestMs = Math.max(...windows.map(window => window.lengthMs))
  let line: Waiting[] = []
  let places = 0
  let unsettled = 0
  let alarm = new AbortController()
  /** As it was stored last, and what happened since; `at` of these events is on the monotonic clock. */
  let known: Budget = UNUSED
  let knownAt: { wall: number; monotonic: number } | undefined
  let news: BudgetEvent[] = []
  /** When those that were refused, and come back, have their turn. */
  let booked: number[] = []
  let usedAt = runtime.monotonic()
  let looking = false
  let lookAgain = false

  /** Settles with the budget charged for one request, and a place taken if there was none; gives the request's id. */
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
      line.splice(begun ? line.filter(other => other.begun).length : line.length, 0, waiting)
      look()
    })
  }

  function happened(kind: 'ended' | 'unsent', id: string): void {
    unsettled -= 1
    news.push({ kind, id, at: runtime.monotonic() })
    look()
  }

  /** After every change. One look at a time; what happens meanwhile is seen by the next one. */
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

  /** Starts callers whose turn it is, rejects those whose deadline would pass first, and sets the alarm for the next look. */
  async function admitThenRefuse(): Promise<void> {
    const { budget, admitted, now, lookedAt } = await stored()
    unsettled += admitted.length
    for (const [waiting, id] of admitted) {
      if (line.includes(waiting)) waiting.admit(id)
      else happened('unsent', id)
    }
    const left = (n: number) =>
      Math.max(0, earliest(budget, n, now, windows) - now - (runtime.monotonic() - lookedAt))
    let ahead = 0
    for (const { wait, refuse } of [...line]) {
      const waitMs = left(ahead + 1)
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
    setAlarm(budget, left(1))
  }

  /**
   * A store that cannot be written must not keep anybody from calling: then this process counts alone, until it can. The
   * clocks are read when nobody else has the budget: what another process stored while this one waited is in the past.
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
      if (!hasRoom(budget, now, windows) || (!waiting.begun && free === 0)) break
      const id = runtime.uuid()
      budget = after(budget, [{ kind: 'begun', id, at: now }])
      if (!waiting.begun) free -= 1
      admitted.push([waiting, id])
    }
    return { budget, admitted }
  }

  /** In ms from now. Whoever is refused next is told a later turn, or all would come back at once, and again. */
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
            return await request(told => void news.push({ kind: 'told', told, at: runtime.monotonic() }))
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
