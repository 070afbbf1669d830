import { RATE, USER_RATE } from '../../revento/platform.ts'

/** Times are in milliseconds. */
export interface Budget {
  limit: number
  remaining: number
  resetAt: number
}

type Admission =
  | { ok: true; budget: Budget; release: () => void }
  | { ok: false; code: 'rate_limit_exceeded' | 'concurrent_limit_exceeded'; budget: Budget }

interface Usage {
  inFlight: number
  windows: { limit: number; lengthMs: number; startedAt: number; used: number }[]
}

type Limits = Pick<typeof RATE | typeof USER_RATE, 'perMinute' | 'perHour'>

const MINUTE = 60_000
const HOUR = 3_600_000
const TRACKED = 1000

/** The three budgets of each token. A window is fixed and begins with its first request, which is a sandbox choice. */
export function createRate(now: () => number) {
  const usages = new Map<string, Usage>()

  function usageOf(token: string, { perMinute, perHour }: Limits): Usage {
    const usage = usages.get(token) ?? {
      inFlight: 0,
      windows: [
        { limit: perMinute, lengthMs: MINUTE, startedAt: Number.NEGATIVE_INFINITY, used: 0 },
        { limit: perHour, lengthMs: HOUR, startedAt: Number.NEGATIVE_INFINITY, used: 0 },
      ],
    }
    for (const window of usage.windows)
      if (now() - window.startedAt >= window.lengthMs) Object.assign(window, { startedAt: now(), used: 0 })
    usages.set(token, usage)
    const [oldest] = usages.keys()
    if (usages.size > TRACKED && oldest !== undefined) usages.delete(oldest)
    return usage
  }

  function take(token: string, isUser: boolean): Admission {
    const usage = usageOf(token, isUser ? USER_RATE : RATE)
    const budget = tightest(usage)
    if (budget.remaining === 0) return { ok: false, code: 'rate_limit_exceeded', budget }
    if (usage.inFlight >= RATE.inFlight) return { ok: false, code: 'concurrent_limit_exceeded', budget }
    usage.inFlight += 1
    for (const window of usage.windows) window.used += 1
    const release = () => {
      usage.inFlight -= 1
    }
    return { ok: true, budget: tightest(usage), release }
  }

  return { take }
}

/** The budget that the headers show: the window with the fewest requests left, and of equals the later reset. */
function tightest({ windows }: Usage): Budget {
  const budgets = windows.map(({ limit, used, startedAt, lengthMs }) => {
    return { limit, remaining: limit - used, resetAt: startedAt + lengthMs }
  })
  return budgets.reduce((a, b) =>
    b.remaining < a.remaining || (b.remaining === a.remaining && b.resetAt > a.resetAt) ? b : a,
  )
}

/** The budget of a token that has used nothing, as a caller with an unknown token sees it. */
export const untouched = (now: number): Budget => {
  return { limit: RATE.perMinute, remaining: RATE.perMinute, resetAt: now + MINUTE }
}
