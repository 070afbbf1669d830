import * as oauth from 'oauth4webapi'
import type { Runtime } from '../runtime.ts'
import { type HttpAnswer, isTimeout, neverSent, reasonOf, retryAfter } from './http.ts'
import { ID } from './platform.ts'

/** A token response that was checked. Lifetimes in seconds, undefined where the platform did not say. */
export interface TokenSet {
  readonly accessToken: string
  readonly refreshToken: string | undefined
  readonly expiresIn: number | undefined
  readonly refreshExpiresIn: number | undefined
  readonly scope: string | undefined
  readonly eventId: string
  readonly organizationId: string
}

/**
 * How a token request ended; a closed set. `rejected`: the exact `invalid_grant`. `configuration`: this client is
 * not accepted. `transient`: surely not processed, or asked to come back. `unknown`: sent, and no usable answer.
 */
export type TokenOutcome =
  | { kind: 'tokens'; tokens: TokenSet }
  | { kind: 'rejected' }
  | { kind: 'configuration'; detail: string }
  | { kind: 'transient'; detail: string; timeout: boolean; retryAfterMs?: number }
  | { kind: 'unknown'; detail: string; timeout: boolean }

/**
 * oauth4webapi's errors carry the token response in `cause`: none leaves this module, only its outcome does.
 */
export async function judged(
  runtime: Pick<Runtime, 'now'>,
  run: () => Promise<oauth.TokenEndpointResponse>,
): Promise<TokenOutcome> {
  try {
    const tokens = readTokens(await run())
    return tokens
      ? { kind: 'tokens', tokens }
      : { kind: 'unknown', detail: 'unusable_tokens', timeout: false }
  } catch (error) {
    return judgeFailure(error, runtime.now())
  }
}

function judgeFailure(error: unknown, now: number): TokenOutcome {
  if (error instanceof oauth.ResponseBodyError) return judgeErrorBody(error, now)
  if (error instanceof oauth.OperationProcessingError || error instanceof oauth.UnsupportedOperationError) {
    const { cause } = error
    if (!(cause instanceof Response)) return { kind: 'unknown', detail: 'unusable_answer', timeout: false }
    if (cause.status >= 300) return transient(cause, now)
    return { kind: 'unknown', detail: `status_${cause.status}`, timeout: false }
  }
  const kind = neverSent(error) ? 'transient' : 'unknown'
  return { kind, detail: reasonOf(error), timeout: isTimeout(error) }
}

function judgeErrorBody({ error, status, response }: oauth.ResponseBodyError, now: number): TokenOutcome {
  if (status === 429 || status >= 500) return transient(response, now)
  if (error === 'invalid_grant') return { kind: 'rejected' }
  if (error === 'invalid_client' || error === 'unauthorized_client')
    return { kind: 'configuration', detail: error }
  return transient(response, now)
}

function transient({ status, headers }: Response, now: number): TokenOutcome {
  const asked = retryAfter(headers.get('retry-after'), now)
  const outcome = { kind: 'transient' as const, detail: `status_${status}`, timeout: false }
  return asked === undefined ? outcome : { ...outcome, retryAfterMs: asked }
}

const VISIBLE = /^[\x21-\x7e]{1,4096}$/
const seconds = (v: unknown) => {
  const n = typeof v === 'string' && /^\d{1,10}$/.test(v) ? Number(v) : v
  return typeof n === 'number' && Number.isFinite(n) && n > 0 ? n : undefined
}

/** RFC 6749 section 3.3. Anything else counts as absent: it is stored and shown, and not worth the pair of tokens. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/
const readScope = (scope: string | undefined) =>
  scope !== undefined && scope.length <= 1024 && SCOPE.test(scope) ? scope : undefined

/** Ids are checked here, before they can enter a path or a key. */
function readTokens(answer: oauth.TokenEndpointResponse): TokenSet | undefined {
  const { access_token, refresh_token, token_type, scope, event_id, organization_id } = answer
  // Lower case by now. Any other kind is of no use in a Bearer header.
  if (token_type !== 'bearer') return undefined
  if (!VISIBLE.test(access_token) || (refresh_token !== undefined && !VISIBLE.test(refresh_token)))
    return undefined
  if (typeof event_id !== 'string' || !ID.test(event_id)) return undefined
  if (typeof organization_id !== 'string' || !ID.test(organization_id)) return undefined
  return {
    accessToken: access_token,
    refreshToken: refresh_token,
    expiresIn: seconds(answer.expires_in),
    refreshExpiresIn: seconds(answer['refresh_expires_in']),
    scope: readScope(scope),
    eventId: event_id,
    organizationId: organization_id,
  }
}

/**
 * The code exchange's members are partly undocumented: absent ones are read as RFC 6749's defaults, and a lifetime
 * that is no positive number counts as absent, because a pair of tokens is too dear to refuse for that.
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
    ([name, value]) =>
      value !== null && name !== 'id_token' && (name !== 'expires_in' || seconds(value) !== undefined),
  )
  return JSON.stringify({ token_type: 'Bearer', ...Object.fromEntries(given) })
}
