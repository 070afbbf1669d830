import { FixedTextError } from '../process/disclosure.ts'

/** The error codes that Revento's guide shows, with what to do. Revento has more, so fall back on the status. */
type PlatformErrorCode =
  /** 401: the token is another platform's. A refresh does not help: check REVENTO_API_BASE. */
  | 'invalid_token'
  /** 401: oauth/access-token refreshes the token and repeats the call once. */
  | 'token_expired'
  /** 401: the connection has ended for good. */
  | 'token_revoked'
  /** 403: the token belongs to another event. */
  | 'event_not_authorized'
  /** 403: the endpoint is for a signed-in participant. */
  | 'user_token_required'
  /** 429: a minute or hour budget is used up; see `retryAfterMs`. */
  | 'rate_limit_exceeded'
  /** 429: more than five requests in flight. Each process counts its own, so another one uses this connection too. */
  | 'concurrent_limit_exceeded'

/** Our own codes. The status is 0 where no answer came. */
export type OwnErrorCode =
  /** By our count this connection's minute or hour is used up, and nothing was sent; see `retryAfterMs`. */
  | 'rate_budget_used'
  /** As `rate_budget_used`, but one run of a handler made all the calls of a minute: no run of it can finish. */
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
 * A call of the API failed: Revento refused it, or no usable answer came (status 0). Branch on `code`, which is
 * Revento's own `error` where it gave one. Revento's message text is never read.
 */
export class ApiError extends FixedTextError {
  readonly code: ApiErrorCode
  readonly status: number
  /** The id of the last request, for Revento's support. Empty when nothing was sent. */
  readonly requestId: string
  /** A new call within this time fails too. */
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

/** No access token is available now, so the API was not called. The next refresh may be tried after the wait. */
export class RefreshPending extends ApiError {
  constructor(code: OwnErrorCode, waitMs: number) {
    super(code, 0, '', waitMs)
    this.name = 'RefreshPending'
  }
}
