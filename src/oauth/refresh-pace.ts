import type { TokenOutcome } from '../revento/token-outcome.ts'
import type { RefreshFailure } from '../storage/schema.ts'

export type Failed = Exclude<TokenOutcome, { kind: 'tokens' | 'rejected' }>

/** What the row says of the failures so far. Times in ms since 1970. */
export interface Failures {
  /** Failed requests in a row, and when the first of them was. */
  readonly failures: number
  readonly failingSince: number
  /** When the row allowed this request. */
  readonly notBefore: number
  /** A request with this refresh token was sent whose outcome is not known. */
  readonly unaccounted: boolean
  /** The end of the connection as we computed it. */
  readonly endsAt: number
}

/** What is written into the row after another failure. */
export interface Retry {
  readonly failure: RefreshFailure
  readonly unaccounted: boolean
  readonly failures: number
  readonly failingSince: number
  readonly pauseMs: number
}

/** A request that was cut off may still be under way: it must not reach Revento after the one that follows it. */
const CUT_OFF_MS = 5_000
/** Nothing came back, or the process died: Revento may still be at work. */
export const AT_WORK_MS = 30_000
const QUICK_TRIES = 4
const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
export const DAY_MS = 24 * HOUR_MS
/** After such a pause nobody can say that it failed all the time. */
const UNBROKEN_MS = 10 * MINUTE_MS

/**
 * Pure: when the next request may come, at most ten in five minutes. Each that Revento refused is followed by another
 * within seconds, four times; one whose outcome is not known waits until Revento has surely done with it. Then it is
 * one a minute; one an hour where outcomes are still unknown after an hour; one a day past the end that we computed.
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
