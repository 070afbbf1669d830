import type { TokenOutcome } from '../revento/token-outcome.ts'
import type { RefreshFailure } from '../storage/schema.ts'

export type Failed = Exclude<TokenOutcome, { kind: 'tokens' | 'rejected' }>

/** The failures so far, as the row has them. Times are ms since 1970. */
export interface Failures {
  /** How many requests in a row failed, and when the first of them was sent. */
  readonly failures: number
  readonly failingSince: number
  /** The earliest moment that the row allowed for this request. */
  readonly notBefore: number
  /** A request with this refresh token was sent whose outcome is not known. */
  readonly unaccounted: boolean
  /** When the connection ends by our computation. */
  readonly endsAt: number
}

/** What a further failure writes into the row. */
export interface Retry {
  readonly failure: RefreshFailure
  readonly unaccounted: boolean
  readonly failures: number
  readonly failingSince: number
  readonly pauseMs: number
}

/** The pause after a request that was cut off: it may still be under way, and must not arrive after the next one. */
const CUT_OFF_MS = 5_000
/** The pause after a request without an answer, or after a crash: Revento may still be at work on it. */
export const AT_WORK_MS = 30_000
const QUICK_TRIES = 4
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS
/** Failures that lie further apart than this do not count as one series. */
const UNBROKEN_MS = 10 * MINUTE_MS

/**
 * Pure: decides when the next request may be sent, at most ten in five minutes. After a refusal the next four follow
 * within seconds; after an unknown outcome the pause lasts until Revento has surely finished. Later there is one request
 * a minute; one an hour where outcomes are still unknown after an hour; one a day past the computed end.
 */
export function afterFailure(past: Failures, outcome: Failed, now: number, random: number): Retry {
  const unbroken = past.failures > 0 && past.failingSince <= now && now - past.notBefore < UNBROKEN_MS
  const failures = unbroken ? past.failures + 1 : 1
  const failingSince = unbroken ? past.failingSince : now
  const isLong = now - failingSince >= HOUR_MS
  const steady = now >= past.endsAt ? DAY_MS : outcome.kind === 'unknown' && isLong ? HOUR_MS : MINUTE_MS
  return {
    failure: failureOf(outcome),
    unaccounted: past.unaccounted || outcome.kind === 'unknown',
    failures,
    failingSince,
    pauseMs: Math.max(
      pause(past, outcome, failures, steady) * (1 + random / 4),
      outcome.kind === 'configuration' ? 0 : (outcome.retryAfter?.ms ?? 0),
    ),
  }
}

function pause(past: Failures, outcome: Failed, failures: number, steady: number): number {
  if (outcome.kind === 'transient') return failures <= QUICK_TRIES ? 250 * 2 ** failures : steady
  if (outcome.kind === 'configuration' || past.unaccounted) return steady
  return outcome.atWork ? AT_WORK_MS : CUT_OFF_MS
}

function failureOf(outcome: Failed): RefreshFailure {
  if (outcome.kind === 'configuration') return 'configuration_error'
  return outcome.timeout ? 'upstream_timeout' : 'upstream_error'
}
