import { FixedTextError } from '../process/disclosure.ts'

/** Codes of the platform that its guide shows, with what to do; it has more, so fall back on the status. */
export type PlatformErrorCode =
  /** 401: not this platform's token. Nothing to refresh: look at the environment. */
  | 'invalid_token'
  /** 401: refreshed, and asked once more, by oauth/access-token. */
  | 'token_expired'
  /** 401: for good. */
  | 'token_revoked'
  /** 403: the token belongs to another event. */
  | 'event_not_authorized'
  /** 403: the endpoint is for a signed-in participant. */
  | 'user_token_required'
  /** 429: a minute or hour budget is used up; see `retryAfterMs`. */
  | 'rate_limit_exceeded'
  /** 429: more than five in flight: each process counts its own, so another one uses this connection too. */
  | 'concurrent_limit_exceeded'

/** Our own, with status 0 where there was no answer at all. */
export type OwnErrorCode =
  /** The connection's own count of the minute or hour is used up: not sent, see `retryAfterMs`. */
  | 'rate_budget_used'
  /** The same to a handler that has made all the calls of a minute by itself: no run of it can finish. */
  | 'too_many_calls'
  | 'upstream_error'
  | 'upstream_timeout'
  | 'answer_too_large'
  | 'configuration_error'
  | 'invalid_event_id'

export type ApiErrorCode = PlatformErrorCode | OwnErrorCode | (string & {})

const NOT_SENT: Readonly<Record<string, string>> = {
  rate_budget_used: 'rate_budget_used: the calls that Revento allows for this connection are used up for now',
  too_many_calls:
    'too_many_calls: one run has the calls of one minute; longer lists belong in a job, not in a handler',
}

/**
 * A call that brought nothing usable: an answer of the platform that is no success, or none at all (status 0).
 * Branch on `code`, which is the platform's own `error` where it gave one; its message text is never looked at.
 */
export class ApiError extends FixedTextError {
  readonly code: ApiErrorCode
  readonly status: number
  /** Of the last attempt; to be quoted to Revento's support. Empty when nothing was sent. */
  readonly requestId: string
  /** Asking again before this has passed is of no use. */
  readonly retryAfterMs: number | undefined
  constructor(code: ApiErrorCode, status: number, requestId: string, retryAfterMs?: number) {
    super((status === 0 && NOT_SENT[code]) || `Revento answered ${code}`)
    this.name = 'ApiError'
    this.code = code
    this.status = status
    this.requestId = requestId
    this.retryAfterMs = retryAfterMs
  }
}

/** There is no access token for now, and nothing was asked of the API: the refresh has its next try after the wait. */
export class RefreshPending extends ApiError {
  constructor(code: OwnErrorCode, waitMs: number) {
    super(code, 0, '', waitMs)
    this.name = 'RefreshPending'
  }
}
