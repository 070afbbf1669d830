import { FixedTextError } from '../process/disclosure.ts'

/** The table of errors: stable code, HTTP status, and the only text a caller gets. The reason goes to the log. */
export const ERRORS = {
  invalid_event_id: [400, 'This needs the id of an event: letters, digits, - and _.'],
  event_rejected: [400, 'Revento did not take the request to connect this event.'],
  invalid_request: [400, 'The request is not valid.'],
  bad_request: [400, 'The request could not be read.'],
  access_denied: [400, 'The connection was declined. Nothing was changed.'],
  state_missing: [400, 'This link is incomplete. Start again from the connect page.'],
  state_mismatch: [400, 'This link was not started in this browser. Start again from the connect page.'],
  state_used: [400, 'This link has been used already.'],
  state_expired: [400, 'This link has expired. Start again from the connect page.'],
  code_rejected: [400, 'Revento did not accept the authorization code. Start again from the connect page.'],
  event_mismatch: [400, 'Revento answered for another event than the one asked for. Nothing was stored.'],
  invalid_signature: [401, 'The signature is not valid.'],
  unauthorized: [401, 'The signature is not valid.'],
  invalid_delivery_id: [400, 'The delivery id is not valid.'],
  invalid_json: [400, 'The body is not valid JSON.'],
  invalid_payload: [400, 'The body is not an event envelope.'],
  unknown_event_type: [400, 'The event type is not known.'],
  not_signed_in: [401, 'Sign in with Revento first.'],
  sign_in_again: [401, 'Revento asks you to sign in again.'],
  unauthenticated: [401, 'Connect an event in this browser first.'],
  form_rejected: [403, 'This was not sent from this page, or the page was too old. Nothing was changed.'],
  not_found: [404, 'There is nothing here.'],
  method_not_allowed: [405, 'This address does not answer that method.'],
  request_timeout: [408, 'The request took too long to arrive.'],
  reconsent_required: [409, 'Revento needs the organizer to connect this event again.'],
  revoked: [409, 'The organizer has revoked this connection.'],
  suspended: [409, 'Revento has suspended this app. It goes on by itself when that is lifted.'],
  scope_missing: [
    409,
    'The organizer has not allowed this app to see that. Connect the event again to allow it.',
  ],
  not_replayable: [409, 'This delivery has not been given up, so it cannot be replayed.'],
  delivery_erased: [409, 'What this delivery held has been erased, so it cannot be replayed.'],
  payload_removed: [
    409,
    'The payload of this delivery was removed after PAYLOAD_DAYS, so it cannot be replayed.',
  ],
  payload_too_large: [413, 'The body is too large.'],
  unsupported_media_type: [415, 'The content type is not supported.'],
  too_many_requests: [429, 'Too many requests. Try again in a minute.'],
  headers_too_large: [431, 'The headers are too large.'],
  internal_error: [500, 'Something went wrong here.'],
  configuration_error: [502, 'Revento does not accept this app. Its operator has to check the settings.'],
  upstream_error: [502, 'Revento did not give a usable answer. Try again in a moment.'],
  rate_budget_used: [
    503,
    'The calls that Revento allows for this event are used up for now. Try again later.',
  ],
  overloaded: [503, 'The app is busy. Send it again in a moment.'],
  storage_unavailable: [503, 'The app cannot store anything right now. Try again in a moment.'],
  not_handling: [503, 'Deliveries are stored, but cannot be handled right now. Try again in a moment.'],
  not_answered: [503, 'There is no answer yet. Ask again in a moment.'],
  too_many_streams: [503, 'Too many pages are open at once. Close one, or try again in a moment.'],
  shutting_down: [503, 'The app is restarting. Try again in a moment.'],
  upstream_timeout: [504, 'Revento did not answer in time. Try again in a moment.'],
} as const satisfies Record<string, readonly [status: number, message: string]>

export type ErrorCode = keyof typeof ERRORS

/** A route throws it to answer with a code of the table. `reason` and `cause` are for the log only. */
export class AppError extends FixedTextError {
  readonly code: ErrorCode
  readonly reason: string | undefined
  /** Where the organizer can connect again, for the 409 codes. */
  readonly connectUrl: string | undefined
  readonly status: number
  /** Seconds until a retry makes sense, for the codes that have one. */
  readonly retryAfterS: number | undefined
  constructor(code: ErrorCode, options: AppErrorOptions = {}) {
    super(code, options.cause === undefined ? {} : { cause: options.cause })
    this.name = 'AppError'
    this.code = code
    this.reason = options.reason
    this.connectUrl = options.connectUrl
    this.retryAfterS = options.retryAfterS
    this.status = options.status ?? ERRORS[code][0]
  }
}

export interface AppErrorOptions {
  readonly reason?: string
  readonly connectUrl?: string
  readonly retryAfterS?: number
  readonly cause?: unknown
  /** A status other than the table's, where the documentation of a provider asks for it. */
  readonly status?: number
}

export interface ErrorBody {
  error: ErrorCode
  message: string
  request_id: string
  connect_url?: string
}

export function errorBody(code: ErrorCode, requestId: string, connectUrl?: string): ErrorBody {
  const body = { error: code, message: ERRORS[code][1], request_id: requestId }
  return connectUrl === undefined ? body : { ...body, connect_url: connectUrl }
}
