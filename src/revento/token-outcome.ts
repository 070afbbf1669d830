import * as oauth from 'oauth4webapi'
import type { Runtime } from '../process/runtime.ts'
import { type HttpAnswer, isTimeout, neverSent, reasonOf } from './http.ts'
import { USER_MEMBER } from './login.ts'
import { type ConnectionKey, ID } from './platform.ts'
import { type RetryAfter, retryAfter } from './rate-headers.ts'

/** A checked token response. Lifetimes are in seconds, and undefined where Revento gave none. */
export interface TokenSet {
  readonly accessToken: string
  readonly refreshToken: string | undefined
  readonly expiresIn: number | undefined
  readonly refreshExpiresIn: number | undefined
  readonly scope: string | undefined
  readonly eventId: string
  readonly organizationId: string
  /** The participant's id, where Revento names one. */
  readonly userId?: string | undefined
}

/**
 * How a token request ended; a closed set. `rejected`: Revento answered exactly `invalid_grant`. `configuration`: Revento
 * does not accept this client. `transient`: the request was refused, or never sent. `unknown`: it was sent and got no
 * usable answer, so it may have been processed; with `atWork` it may still be processed later.
 */
export type TokenOutcome =
  | { kind: 'tokens'; tokens: TokenSet }
  | { kind: 'rejected' }
  | { kind: 'configuration'; detail: string }
  | { kind: 'transient'; detail: string; timeout: boolean; retryAfter?: RetryAfter | undefined }
  | {
      kind: 'unknown'
      detail: string
      timeout: boolean
      atWork: boolean
      retryAfter?: RetryAfter | undefined
    }

/** Only an outcome leaves this module: oauth4webapi's errors carry the token response in `cause`. */
export async function judged(
  runtime: Pick<Runtime, 'now'>,
  run: () => Promise<oauth.TokenEndpointResponse>,
  known?: ConnectionKey,
): Promise<TokenOutcome> {
  try {
    const tokens = readTokens(await run(), known)
    return tokens ? { kind: 'tokens', tokens } : unusable('unusable_tokens')
  } catch (error) {
    return judgeFailure(error, runtime.now())
  }
}

function judgeFailure(error: unknown, now: number): TokenOutcome {
  if (error instanceof oauth.ResponseBodyError) return judgeErrorBody(error, now)
  if (error instanceof oauth.OperationProcessingError || error instanceof oauth.UnsupportedOperationError) {
    const { cause } = error
    if (!(cause instanceof Response)) return unusable('unusable_answer')
    return cause.status >= 300 ? refused(cause, now) : unusable(`status_${cause.status}`)
  }
  const [detail, timeout] = [reasonOf(error), isTimeout(error)]
  if (neverSent(error)) return { kind: 'transient', detail, timeout }
  return { kind: 'unknown', detail, timeout, atWork: timeout }
}

const unusable = (detail: string): TokenOutcome => ({
  kind: 'unknown',
  detail,
  timeout: false,
  atWork: false,
})

function judgeErrorBody({ error, status, response }: oauth.ResponseBodyError, now: number): TokenOutcome {
  if (status === 429 || status >= 500) return refused(response, now)
  if (error === 'invalid_grant') return { kind: 'rejected' }
  if (error === 'invalid_client' || error === 'unauthorized_client')
    return { kind: 'configuration', detail: error }
  return refused(response, now)
}

/** An answer of a gateway (502, 504) does not say what happened, or still happens, behind the gateway. */
function refused({ status, headers }: Response, now: number): TokenOutcome {
  const asked = {
    detail: `status_${status}`,
    timeout: false,
    retryAfter: retryAfter(headers.get('retry-after'), now),
  }
  if (status !== 502 && status !== 504) return { kind: 'transient', ...asked }
  return { kind: 'unknown', ...asked, atWork: status === 504 }
}

const isToken = (v: unknown) => typeof v === 'string' && /^[\x21-\x7e]{1,4096}$/.test(v)
const isId = (v: unknown) => typeof v === 'string' && ID.test(v)
const seconds = (v: unknown) => {
  const n = typeof v === 'string' && /^\d{1,10}$/.test(v) ? Number(v) : v
  return typeof n === 'number' && Number.isFinite(n) && n > 0 ? n : undefined
}

/** RFC 6749 section 3.3. A scope of another form counts as absent: it is only shown, and not worth losing the tokens. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/
const isScope = (scope: unknown) => typeof scope === 'string' && scope.length <= 1024 && SCOPE.test(scope)

/** The two ids are checked before they can enter a path or a key; the answer to a refresh need not repeat them. */
function readTokens(answer: oauth.TokenEndpointResponse, known?: ConnectionKey): TokenSet | undefined {
  const { access_token, refresh_token, token_type, scope, [USER_MEMBER]: userId } = answer
  const [eventId, organizationId] = [
    answer['event_id'] ?? known?.eventId,
    answer['organization_id'] ?? known?.organizationId,
  ]
  // oauth4webapi gives it in lower case. Another type cannot be used in a Bearer header.
  if (token_type !== 'bearer') return undefined
  if (!isToken(access_token) || typeof eventId !== 'string' || typeof organizationId !== 'string')
    return undefined
  return {
    accessToken: access_token,
    refreshToken: refresh_token,
    expiresIn: seconds(answer.expires_in),
    refreshExpiresIn: seconds(answer['refresh_expires_in']),
    scope,
    eventId,
    organizationId,
    userId: typeof userId === 'string' ? userId : undefined,
  }
}

/** The optional members of a token answer, each with the test of its form: in another form it counts as absent. */
const OPTIONAL: Readonly<Record<string, (value: unknown) => boolean>> = {
  refresh_token: isToken,
  expires_in: value => seconds(value) !== undefined,
  refresh_expires_in: value => seconds(value) !== undefined,
  scope: isScope,
  event_id: isId,
  organization_id: isId,
  [USER_MEMBER]: isId,
}

/**
 * Reduces a success to the members that are read: a pair of tokens is too valuable to lose for an optional member of a
 * wrong form, or for an unknown one. Absent members take the defaults of RFC 6749.
 */
export function tolerant({ status, text }: HttpAnswer): string {
  if (status !== 200) return text
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return text
  }
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return text
  const given = Object.entries(body).filter(
    ([name, value]) => Object.hasOwn(OPTIONAL, name) && OPTIONAL[name]?.(value),
  )
  const { access_token, token_type = 'Bearer' } = body as Record<string, unknown>
  return JSON.stringify({ access_token, token_type: token_type ?? 'Bearer', ...Object.fromEntries(given) })
}
