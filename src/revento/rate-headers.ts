import type { HttpAnswer } from './http.ts'

/** What a Retry-After header asks for, as a delay from now. `isOdd`: it cannot be meant as it stands. */
export interface RetryAfter {
  readonly ms: number
  readonly isOdd: boolean
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/**
 * RFC 9110 section 10.2.3: seconds, or a date. Undefined where it says neither. Seconds or milliseconds since 1970 are
 * read as the moment that they are, and nothing is waited for longer than an hour.
 */
export function retryAfter(header: string | null, now: number): RetryAfter | undefined {
  if (header === null) return undefined
  if (!/^\d+$/.test(header)) {
    const at = /^[A-Z][a-z]{2}, /.test(header) ? Date.parse(header) : Number.NaN
    return Number.isNaN(at) ? undefined : bounded(at - now)
  }
  const n = Number(header)
  const moment = [n * 1000, n].find(at => Math.abs(at - now) < DAY_MS)
  return moment === undefined ? bounded(n * 1000) : { ...bounded(moment - now), isOdd: true }
}

const bounded = (ms: number): RetryAfter => ({
  ms: Math.min(Math.max(0, ms), HOUR_MS),
  isOdd: ms > HOUR_MS,
})

export const ODD_RETRY_AFTER =
  'a Retry-After of Revento cannot be a delay: at most an hour is waited; later ones are not reported'

/** What an answer says about when the next request may come. */
export interface Told {
  /** Nothing may be sent for so long. */
  readonly retryAfterMs?: number
  /** The header that said so cannot be meant as it stands. */
  readonly isOdd?: boolean
  /** So many requests are left until `resetAt` (ms since 1970). */
  readonly budget?: { readonly remaining: number; readonly resetAt: number }
}

/** A limit was hit and nothing says for how long. */
const UNTOLD_MS = 1_000

/** Pure. Retry-After goes before X-RateLimit-Reset: the guide contradicts itself on what Reset means. */
export function readTold({ status, headers }: HttpAnswer, code: string | undefined, now: number): Told {
  const header = (name: string) => {
    const value = headers[name]
    return typeof value === 'string' ? value : ''
  }
  const remaining = wholeNumber(header('x-ratelimit-remaining'))
  const resetS = wholeNumber(header('x-ratelimit-reset'))
  const resetAt = resetS === undefined ? undefined : resetS * 1000
  const mayHold = status === 429 || status === 503
  const asked = mayHold ? retryAfter(header('retry-after'), now) : undefined
  if (asked) return { retryAfterMs: asked.ms, isOdd: asked.isOdd }
  const limited = status === 429 && code !== 'concurrent_limit_exceeded'
  if (limited) return { retryAfterMs: untilReset(resetAt, now) }
  return remaining === undefined || resetAt === undefined ? {} : { budget: { remaining, resetAt } }
}

/** No window is longer than an hour: a reset beyond that is a slip of somebody's clock or unit. */
const untilReset = (resetAt: number | undefined, now: number) =>
  resetAt !== undefined && resetAt > now ? Math.min(resetAt - now, HOUR_MS) : UNTOLD_MS

const wholeNumber = (text: string) => (/^\d{1,15}$/.test(text) ? Number(text) : undefined)
