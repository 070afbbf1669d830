import type { Runtime } from '../runtime.ts'
import { ApiError } from './api-error.ts'
import { createBudget } from './budget.ts'
import { RATE } from './platform.ts'
import type { Told } from './told.ts'

/** How long a caller waits: until `deadline` (ms since 1970) or until its signal fires. */
export interface Wait {
  readonly deadline: number
  readonly signal?: AbortSignal | undefined
}

/** One of the five places in flight. Its holder sends one request at a time. */
export interface Place {
  /** Sends as soon as the budget has room; `hear` takes what the answer told. */
  send<T>(request: (hear: (told: Told) => void) => Promise<T>): Promise<T>
}

export interface Limiter {
  /**
   * Runs `use` in a place, first come, first served. Throws ApiError `rate_limit_exceeded` as soon as the wait is
   * known to outlast the caller's deadline, and the signal's reason when it fires.
   */
  run<T>(wait: Wait, use: (place: Place) => Promise<T>): Promise<T>
  /** Nobody is in it, and it remembers nothing. */
  isIdle(): boolean
}

interface Waiting {
  readonly wait: Wait
  /** It holds its place already and wants to send again: it goes before those that have not begun. */
  readonly begun: boolean
  admit(): void
  refuse(error: unknown): void
}

/** A timer cannot be longer than 24 days; looking again in between costs nothing. */
const LONGEST_SLEEP_MS = 3_600_000

export function createLimiter(runtime: Runtime): Limiter {
  const { now } = runtime
  const budget = createBudget(now)
  let line: Waiting[] = []
  let places = 0
  let alarm = new AbortController()

  /** Settles with the budget charged for one request, and a place taken if there was none. */
  async function admission(wait: Wait, begun: boolean): Promise<void> {
    wait.signal?.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const leave = () => {
        line = line.filter(other => other !== waiting)
        wait.signal?.removeEventListener('abort', abort)
      }
      const waiting: Waiting = {
        wait,
        begun,
        admit() {
          leave()
          budget.begin()
          if (!begun) places += 1
          resolve()
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

  /** After every change: who may go goes, who would wait too long is told, and the alarm is set for the next change. */
  function look(): void {
    for (let [next] = line; next && budget.hasRoom(); [next] = line) {
      if (!next.begun && places >= RATE.inFlight) break
      next.admit()
    }
    let ahead = 0
    for (const { wait, refuse } of [...line]) {
      const at = budget.earliest(ahead + 1)
      if (now() < wait.deadline && at <= wait.deadline) ahead += 1
      else refuse(new ApiError('rate_limit_exceeded', 0, '', at - now()))
    }
    setAlarm()
  }

  function setAlarm(): void {
    alarm.abort()
    if (line.length === 0) return
    const room = budget.earliest(1)
    const moments = line.map(({ wait }) => wait.deadline)
    const next = Math.min(...moments, room > now() ? room : Number.POSITIVE_INFINITY)
    alarm = new AbortController()
    runtime.sleep(Math.min(next - now(), LONGEST_SLEEP_MS), alarm.signal).then(look, () => {})
  }

  return {
    async run(wait, use) {
      await admission(wait, false)
      let charged = true
      const place: Place = {
        async send(request) {
          if (!charged) await admission(wait, true)
          charged = true
          wait.signal?.throwIfAborted()
          try {
            return await request(told => budget.hear(told))
          } finally {
            charged = false
            budget.end()
            look()
          }
        },
      }
      try {
        return await use(place)
      } finally {
        if (charged) budget.giveBack()
        places -= 1
        look()
      }
    },
    isIdle: () => places === 0 && line.length === 0 && budget.isEmpty(),
  }
}
