import * as oauth from 'oauth4webapi'
import type { Dispatcher } from 'undici'
import type { Runtime } from '../process/runtime.ts'
import type { Observe } from './drift.ts'
import { exchange } from './http.ts'
import { EVENT_PARAMETER } from './login.ts'
import { AUTHORIZE_PATH, type ConnectionKey, TOKEN_PATH } from './platform.ts'
import { judged, type TokenOutcome, tolerant } from './token-outcome.ts'

export interface TokenEndpoint {
  /** The URL to which the browser is sent (RFC 6749 section 4.1.1, RFC 7636 section 4.3). */
  authorizationUrl(flow: {
    state: string
    codeVerifier: string
    eventId: string
    kind?: 'installation' | 'user'
  }): Promise<string>
  /** `callback` is the query of the callback, whose state was checked before; `ids` stand in for absent ones. */
  exchangeCode(callback: URLSearchParams, codeVerifier: string, ids?: ConnectionKey): Promise<TokenOutcome>
  /** `ids` are the connection's, since the answer to a refresh need not repeat them. */
  refresh(refreshToken: string, ids: ConnectionKey): Promise<TokenOutcome>
}

export interface TokenEndpointOptions {
  readonly authBase: string
  readonly clientId: string
  readonly clientSecret: string
  readonly redirectUri: string
  readonly scopes: string
  /** Undefined where nobody can sign in. */
  readonly userScopes?: string | undefined
  /** Called with each answer. */
  readonly observe?: Observe | undefined
  /** Called with what became of each refresh. */
  readonly count?: ((outcome: TokenOutcome['kind']) => void) | undefined
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
    [oauth.customFetch]: tokenFetch(dispatcher, o.observe),
    [oauth.allowInsecureRequests]: o.authBase.startsWith('http:'),
  }
  return {
    async authorizationUrl({ state, codeVerifier, eventId, kind }) {
      const query = new URLSearchParams({
        response_type: 'code',
        client_id: o.clientId,
        redirect_uri: o.redirectUri,
        scope: (kind === 'user' ? o.userScopes : undefined) ?? o.scopes,
        [EVENT_PARAMETER]: eventId,
        state,
        code_challenge: await oauth.calculatePKCECodeChallenge(codeVerifier),
        code_challenge_method: 'S256',
      })
      return `${as.authorization_endpoint}?${query}`
    },
    exchangeCode(callback, codeVerifier, ids) {
      // Unknown parameters are ignored (RFC 6749 section 4.1.2). So is `iss`, which is not documented: with one
      // authorization server there is no mix-up to prevent.
      const parameters = new URLSearchParams({ code: callback.get('code') ?? '' })
      const exchange = async () => {
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
      }
      return judged(runtime, exchange, ids)
    },
    async refresh(refreshToken, ids) {
      const exchange = async () => {
        const answer = await oauth.refreshTokenGrantRequest(as, client, auth, refreshToken, options)
        return oauth.processRefreshTokenResponse(as, client, answer)
      }
      const outcome = await judged(runtime, exchange, ids)
      o.count?.(outcome.kind)
      return outcome
    },
  }
}

/**
 * Statuses with which no Response can be built around a body, and the status that each counts as: a success without
 * tokens, whose request may have been processed, or a refusal.
 */
const BODILESS = new Map([
  [204, 200],
  [205, 200],
  [304, 502],
])

function tokenFetch(dispatcher: Dispatcher, observe?: Observe) {
  return async (url: string, o: oauth.CustomFetchOptions<'POST', URLSearchParams>): Promise<Response> => {
    const answer = await exchange(dispatcher, url, {
      method: 'POST',
      headers: o.headers,
      body: String(o.body),
    })
    observe?.({ door: 'token', answer })
    // No other header is passed on: a WWW-Authenticate header would hide the JSON error body.
    const headers = new Headers({ 'content-type': 'application/json' })
    const retryAfter = answer.headers['retry-after']
    if (typeof retryAfter === 'string') headers.set('retry-after', retryAfter)
    const countsAs = BODILESS.get(answer.status)
    if (countsAs !== undefined) return new Response('', { status: countsAs, headers })
    return new Response(tolerant(answer), { status: answer.status, headers })
  }
}
