import * as oauth from 'oauth4webapi'
import type { Dispatcher } from 'undici'
import type { Runtime } from '../runtime.ts'
import { classifyFailure, exchange, type HttpAnswer, retryAfter } from './http.ts'
import { AUTHORIZE_PATH, ID, TOKEN_PATH } from './platform.ts'

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

export interface TokenEndpoint {
  /** Where the organizer's browser is sent (RFC 6749 section 4.1.1, RFC 7636 section 4.3). */
  authorizationUrl(flow: { state: string; codeVerifier: string; eventId: string }): Promise<string>
  /** `callback`: the callback's own query, whose state was checked before. */
  exchangeCode(callback: URLSearchParams, codeVerifier: string): Promise<TokenOutcome>
  refresh(refreshToken: string): Promise<TokenOutcome>
}

export interface TokenEndpointOptions {
  readonly authBase: string
  readonly clientId: string
  readonly clientSecret: string
  readonly redirectUri: string
  readonly scopes: string
}

export function createTokenEndpoint(
  o: TokenEndpointOptions,
  dispatcher: Dispatcher,
  runtime: Pick<Runtime, 'now'>,
): TokenEndpoint {
  const as: oauth.AuthorizationServer = {
    issuer: o.authBase,
    authorization_endpoint: o.authBase + AUTHORIZE_PATH,
    token_endpoint: o.authBase + TOKEN_PATH,
  }
  const client: oauth.Client = { client_id: o.clientId }
  const auth = oauth.ClientSecretPost(o.clientSecret)
  const options = {
    [oauth.customFetch]: tokenFetch(dispatcher),
    [oauth.allowInsecureRequests]: o.authBase.startsWith('http:'),
  }
  return {
    async authorizationUrl({ state, codeVerifier, eventId }) {
      const query = new URLSearchParams({
        response_type: 'code',
        client_id: o.clientId,
        redirect_uri: o.redirectUri,
        scope: o.scopes,
        event_id: eventId,
        state,
        code_challenge: await oauth.calculatePKCECodeChallenge(codeVerifier),
        code_challenge_method: 'S256',
      })
      return `${as.authorization_endpoint}?${query}`
    },
    exchangeCode(callback, codeVerifier) {
      // What is not known is ignored (RFC 6749 section 4.1.2); `iss` too: it is not documented, and with one
      // authorization server there is no mix-up to prevent.
      const parameters = new URLSearchParams({ code: callback.get('code') ?? '' })
      return judged(runtime, async () => {
        const checked = oauth.validateAuthResponse(as, client, parameters, oauth.skipStateCheck)
        const answer = await oauth.authorizationCodeGrantRequest(
          as,
          client,
          auth,
          checked,
          o.redirectUri,
          codeVerifier,
          options,
        )
        return oauth.processAuthorizationCodeResponse(as, client, answer)
      })
    },
    refresh: refreshToken =>
      judged(runtime, async () => {
        const answer = await oauth.refreshTokenGrantRequest(as, client, auth, refreshToken, options)
        return oauth.processRefreshTokenResponse(as, client, answer)
      }),
  }
}

/**
 * oauth4webapi's errors carry the token response in `cause`: none leaves this module, only its outcome does.
 */
async function judged(
  runtime: Pick<Runtime, 'now'>,
  run: () => Promise<oauth.TokenEndpointResponse>,
): Promise<TokenOutcome> {
  try {
    const tokens = readTokens(await run())
    return tokens ? { kind: 'tokens', tokens } : { kind: 'unknown', detail: 'unusable_ids', timeout: false }
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
  const failure = classifyFailure(error)
  if (failure === 'refused') return { kind: 'transient', detail: 'connection_refused', timeout: false }
  return { kind: 'unknown', detail: failure, timeout: failure === 'timeout' }
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

/** Ids are checked here, before they can enter a path or a key. */
function readTokens(answer: oauth.TokenEndpointResponse): TokenSet | undefined {
  const { access_token, refresh_token, scope, event_id, organization_id } = answer
  if (!VISIBLE.test(access_token) || (refresh_token !== undefined && !VISIBLE.test(refresh_token)))
    return undefined
  if (typeof event_id !== 'string' || !ID.test(event_id)) return undefined
  if (typeof organization_id !== 'string' || !ID.test(organization_id)) return undefined
  return {
    accessToken: access_token,
    refreshToken: refresh_token,
    expiresIn: seconds(answer.expires_in),
    refreshExpiresIn: seconds(answer['refresh_expires_in']),
    scope,
    eventId: event_id,
    organizationId: organization_id,
  }
}

/** Statuses with which a Response cannot be built around a body. */
const BODILESS = new Set([101, 103, 204, 205, 304])

function tokenFetch(dispatcher: Dispatcher) {
  return async (url: string, o: oauth.CustomFetchOptions<'POST', URLSearchParams>): Promise<Response> => {
    const answer = await exchange(dispatcher, url, {
      method: 'POST',
      headers: o.headers,
      body: String(o.body),
    })
    // No other header is passed on: a WWW-Authenticate header would hide the JSON error body.
    const headers = new Headers({ 'content-type': 'application/json' })
    const retryAfter = answer.headers['retry-after']
    if (typeof retryAfter === 'string') headers.set('retry-after', retryAfter)
    const status = BODILESS.has(answer.status) ? 502 : answer.status
    return new Response(tolerant(answer), { status, headers })
  }
}

/**
 * The code exchange's members are partly undocumented: absent ones are read as RFC 6749's defaults, and a lifetime
 * that is no positive number counts as absent, because a pair of tokens is too dear to refuse for that.
 */
function tolerant({ status, text }: HttpAnswer): string {
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
