import { FixedTextError } from '../process/disclosure.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { beginSpan, inSpan } from '../process/tracing.ts'
import { ApiError } from '../revento/api.ts'
import {
  type GrantKey,
  grantName,
  type InstallationToken,
  type Scope,
  type UserScope,
} from '../revento/platform.ts'
import type { Call as ReventoCall } from '../revento/request.ts'
import type { ConnectionKey } from './connections.ts'
import { about, type Grants, type LiveToken } from './grants.ts'
import type { Refresh } from './refresh.ts'

export type UnavailableCode =
  | 'reconsent_required'
  | 'suspended'
  | 'scope_missing'
  | 'revoked'
  | 'not_connected'

/**
 * The connection cannot be used now. `reconsent_required`: the organizer has to connect again. `suspended`: Revento has
 * to lift the suspension. In both cases a handler's delivery is parked until then. `scope_missing`: the organizer did not
 * grant the scope that the call needs. `revoked`: the connection has ended.
 */
export class ConnectionUnavailable extends FixedTextError {
  readonly code: UnavailableCode
  constructor(code: UnavailableCode) {
    super(`connection unavailable: ${code}`)
    this.name = 'ConnectionUnavailable'
    this.code = code
  }
}

/** Whether a delivery is parked because of this error: it waits for the connection, and its handler has not failed. */
export const isParking = (error: unknown): boolean =>
  error instanceof ConnectionUnavailable &&
  (error.code === 'reconsent_required' || error.code === 'suspended')

type Call<Token, T> = (accessToken: Token) => Promise<T>
/** Called with a refresh that a call had to wait for, once it has ended. */
type Note = (refresh: ReventoCall) => void

/** The access tokens of connections or of sign-ins: each kind of grant has an object of its own, with its kind of token. */
export interface AccessTokens<Key = ConnectionKey, Token = InstallationToken> {
  /**
   * The only way to the API. Runs `call` with a live access token; after the exact `token_expired` it refreshes the token
   * and runs `call` once more. Throws ConnectionUnavailable, or the ApiError of the call. A suspended connection is tried
   * now and then: when the API answers, the suspension is over.
   */
  use<T>(
    key: Key,
    call: Call<Token, T>,
    o?: { note?: Note | undefined; scope?: Scope | UserScope },
  ): Promise<T>
  /** Resolves when the refreshes under way have ended, so that a process does not stop with one unaccounted for. */
  settled(): Promise<void>
}

/** How long a stop waits for a refresh: cut off, the next process would have to repeat it with a spent token. */
export const SETTLED_MS = 9_000

export function createAccessTokens<Key extends GrantKey, Token>(
  o: { connections: Grants<Key, Token>; refresh: Refresh; log: Log; lifted?: () => void },
  runtime: Pick<Runtime, 'now'>,
): AccessTokens<Key, Token> {
  const { connections, log } = o
  /** Callers in this process share one refresh of the same token; other processes wait for the lease. */
  const refreshing = new Map<string, Promise<void>>()

  async function liveToken(key: Key, isTrying = false): Promise<LiveToken<Token>> {
    const token = await connections.open(key, isTrying)
    if (token) return token
    const connection = await connections.find(key)
    if (!connection || connection.state === 'deleted') throw new ConnectionUnavailable('not_connected')
    if (connection.state === 'suspended') throw new ConnectionUnavailable('suspended')
    throw new ConnectionUnavailable(connection.state === 'reconsent' ? 'reconsent_required' : 'revoked')
  }

  async function refreshed(key: Key, seen: LiveToken<Token>, note: Note): Promise<LiveToken<Token>> {
    const at = runtime.now()
    const ended = (result: string) => note({ at, ms: runtime.now() - at, what: 'token refresh', result })
    try {
      const token = await inSpan(beginSpan('refresh'), () => refreshedOnce(key, seen))
      ended('ok')
      return token
    } catch (error) {
      ended(error instanceof ApiError || error instanceof ConnectionUnavailable ? error.code : 'error')
      throw error
    }
  }

  async function refreshedOnce(key: Key, seen: LiveToken<Token>): Promise<LiveToken<Token>> {
    const name = `${grantName(key)} ${seen.version}`
    const running =
      refreshing.get(name) ?? o.refresh(key, seen.version).finally(() => refreshing.delete(name))
    refreshing.set(name, running)
    await running
    return liveToken(key, seen.suspended)
  }

  /**
   * Ends the connection after `token_revoked`, which no refresh mends. Where another writer was first, the call is repeated
   * with the newer token. A suspended integration gets the same answer, and nothing ends then.
   */
  async function revoked<T>(key: Key, seen: LiveToken<Token>, call: Call<Token, T>): Promise<T> {
    if (seen.suspended) throw new ConnectionUnavailable('suspended')
    if (await connections.end(key, 'revoked', 'token_revoked', seen.version)) {
      log.warn(about(key), 'connection revoked by Revento')
      throw new ConnectionUnavailable('revoked')
    }
    const newer = await liveToken(key)
    return call(newer.accessToken)
  }

  async function callWith<T>(key: Key, token: LiveToken<Token>, call: Call<Token, T>): Promise<T> {
    try {
      return await call(token.accessToken)
    } catch (error) {
      if (isRefusal(error, 'token_revoked')) return revoked(key, token, call)
      throw error
    }
  }

  /** Long after its end Revento may not know a token any more. The token endpoint then says whether the grant has ended. */
  const isForgotten = (error: unknown, { endsAt }: LiveToken<unknown>) =>
    endsAt <= runtime.now() && isRefusal(error, 'invalid_token')

  async function lift(key: Key): Promise<void> {
    const lifted = await connections.lift()
    log.info(
      { part: 'oauth', event_id: key.eventId, connections: lifted },
      'Revento has lifted the suspension',
    )
    o.lifted?.()
  }

  async function useToken<T>(
    key: Key,
    token: LiveToken<Token>,
    call: Call<Token, T>,
    note: Note,
  ): Promise<T> {
    try {
      // A token that is known to be expired is refreshed without a call first. A suspended integration is called all the
      // same, because the API says whether the suspension still stands.
      if (!token.expired || token.suspended) return await callWith(key, token, call)
    } catch (error) {
      if (!(isRefusal(error, 'token_expired') || isForgotten(error, token))) throw error
    }
    // There is one refresh for a call: a second token_expired is Revento's fault and goes to the caller.
    return callWith(key, await refreshed(key, token, note), call)
  }

  return {
    async use(key, call, { note = () => {}, scope } = {}) {
      const token = await liveToken(key)
      // Where no scope is stored, Revento named none, and the requested ones are not known any more.
      if (scope && token.scopes.length > 0 && !token.scopes.includes(scope))
        throw new ConnectionUnavailable('scope_missing')
      const result = await useToken(key, token, call, note)
      if (token.suspended) await lift(key)
      return result
    },
    async settled() {
      while (refreshing.size > 0) await Promise.allSettled(refreshing.values())
    },
  }
}

/** A refusal counts only with the documented 401: a faulty server must not end a connection for good. */
const isRefusal = (error: unknown, code: 'token_expired' | 'token_revoked' | 'invalid_token') =>
  error instanceof ApiError && error.status === 401 && error.code === code
