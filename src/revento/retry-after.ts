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
