import type { HttpAnswer } from './http.ts'

/** A Retry-After header as a delay from now. `isOdd`: the value cannot be meant as it stands. */
export interface RetryAfter {
  readonly ms: number
  readonly isOdd: boolean
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

/**
 * Reads seconds or a date (RFC 9110 section 10.2.3); undefined where the header is neither. A number that is a moment of
 * today, in seconds or milliseconds since 1970, is read as that moment. The delay is at most an hour.
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

/** What the headers of an answer say about when the next request may be sent. */
export interface RateHeaders {
  /** No request may be sent for this long. */
  readonly retryAfterMs?: number
  /** The Retry-After header cannot be meant as it stands. */
  readonly isOdd?: boolean
  /** How many requests are left until `resetAt` (ms since 1970). */
  readonly budget?: { readonly remaining: number; readonly resetAt: number }
}

/** The pause after a 429 that does not say how long to wait. */
const UNKNOWN_WAIT_MS = 1_000

/** Pure. Retry-After wins over X-RateLimit-Reset, because the guide contradicts itself on what Reset means. */
export function readRateHeaders(
  { status, headers }: HttpAnswer,
  code: string | undefined,
  now: number,
): RateHeaders {
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

/** No window is longer than an hour: a later reset comes from a wrong clock or a wrong unit. */
const untilReset = (resetAt: number | undefined, now: number) =>
  resetAt !== undefined && resetAt > now ? Math.min(resetAt - now, HOUR_MS) : UNKNOWN_WAIT_MS

const wholeNumber = (text: string) => (/^\d{1,15}$/.test(text) ? Number(text) : undefined)
