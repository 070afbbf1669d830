import { FixedTextError } from '../process/disclosure.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { ApiError } from '../revento/api.ts'
import type { Scope } from '../revento/platform.ts'
import type { Call as ReventoCall } from '../revento/request.ts'
import type { ConnectionKey, Connections, HeldToken } from './connections.ts'
import type { Refresh } from './refresh.ts'

export type UnavailableCode =
  | 'reconsent_required'
  | 'suspended'
  | 'scope_missing'
  | 'revoked'
  | 'not_connected'

/**
 * The connection cannot be used now. `reconsent_required`: the organizer has to connect again; `suspended`: Revento has
 * to lift it. A handler's delivery is parked until then. `scope_missing`: the organizer did not grant what the call
 * needs. `revoked`: it has ended.
 */
export class ConnectionUnavailable extends FixedTextError {
  readonly code: UnavailableCode
  constructor(code: UnavailableCode) {
    super(`connection unavailable: ${code}`)
    this.name = 'ConnectionUnavailable'
    this.code = code
  }
}

/** Waits until something happens to the connection, which is not the handler's failure. */
export const isParking = (error: unknown): boolean =>
  error instanceof ConnectionUnavailable &&
  (error.code === 'reconsent_required' || error.code === 'suspended')

type Call<T> = (accessToken: string) => Promise<T>
/** Takes a refresh that the call had to wait for, once it has ended. */
type Note = (refresh: ReventoCall) => void

export interface AccessTokens {
  /**
   * The one door to the API. Runs `call` with a live access token; after the exact `token_expired` it refreshes and
   * runs it once more. Throws ConnectionUnavailable, or the call's own ApiError. A suspended connection is tried now and
   * then; when the API answers, the suspension is over.
   */
  use<T>(key: ConnectionKey, call: Call<T>, o?: { note?: Note | undefined; scope?: Scope }): Promise<T>
  /** When the refreshes under way have ended: a process that stops should not leave one unaccounted for. */
  settled(): Promise<void>
}

export function createAccessTokens(
  o: { connections: Connections; refresh: Refresh; log: Log; lifted?: () => void },
  runtime: Pick<Runtime, 'now'>,
): AccessTokens {
  const { connections, log } = o
  /** Callers in this process that need the same refresh wait for one; other processes wait for the lease. */
  const refreshing = new Map<string, Promise<void>>()

  async function held(key: ConnectionKey, isTrying = false): Promise<HeldToken> {
    const token = await connections.open(key, isTrying)
    if (token) return token
    const connection = await connections.find(key)
    if (!connection || connection.state === 'deleted') throw new ConnectionUnavailable('not_connected')
    if (connection.state === 'suspended') throw new ConnectionUnavailable('suspended')
    throw new ConnectionUnavailable(connection.state === 'reconsent' ? 'reconsent_required' : 'revoked')
  }

  async function refreshed(key: ConnectionKey, seen: HeldToken, note: Note): Promise<HeldToken> {
    const at = runtime.now()
    const told = (result: string) => note({ at, ms: runtime.now() - at, what: 'token refresh', result })
    try {
      const token = await refreshedOnce(key, seen)
      told('ok')
      return token
    } catch (error) {
      told(error instanceof ApiError || error instanceof ConnectionUnavailable ? error.code : 'error')
      throw error
    }
  }

  async function refreshedOnce(key: ConnectionKey, seen: HeldToken): Promise<HeldToken> {
    const name = `${key.eventId} ${key.organizationId} ${seen.version}`
    const running =
      refreshing.get(name) ?? o.refresh(key, seen.version).finally(() => refreshing.delete(name))
    refreshing.set(name, running)
    await running
    return held(key, seen.suspended)
  }

  /**
   * Permanent: no refresh is tried. Where another writer was first, that one's token decides. Of a suspended integration
   * it is what Revento answers until the suspension is lifted, so that nothing ends by it.
   */
  async function revoked<T>(key: ConnectionKey, seen: HeldToken, call: Call<T>): Promise<T> {
    if (seen.suspended) throw new ConnectionUnavailable('suspended')
    if (await connections.end(key, 'revoked', 'token_revoked', seen.version)) {
      log.warn({ part: 'oauth', event_id: key.eventId }, 'connection revoked by Revento')
      throw new ConnectionUnavailable('revoked')
    }
    const newer = await held(key)
    return call(newer.accessToken)
  }

  async function attempt<T>(key: ConnectionKey, token: HeldToken, call: Call<T>): Promise<T> {
    try {
      return await call(token.accessToken)
    } catch (error) {
      if (isRefusal(error, 'token_revoked')) return revoked(key, token, call)
      throw error
    }
  }

  /** Long after its end Revento may not know a token any more; past the end of ours, the token endpoint says so. */
  const isForgotten = (error: unknown, { endsAt }: HeldToken) =>
    endsAt <= runtime.now() && isRefusal(error, 'invalid_token')

  async function lift(key: ConnectionKey): Promise<void> {
    const lifted = await connections.lift()
    log.info(
      { part: 'oauth', event_id: key.eventId, connections: lifted },
      'Revento has lifted the suspension',
    )
    o.lifted?.()
  }

  async function useHeld<T>(key: ConnectionKey, token: HeldToken, call: Call<T>, note: Note): Promise<T> {
    try {
      // A refresh that has failed waits for its next try: no call is spent on a token that is known to be expired. Of a
      // suspended integration the API says first whether it may be refreshed at all.
      if (!token.expired || token.suspended) return await attempt(key, token, call)
    } catch (error) {
      if (!(isRefusal(error, 'token_expired') || isForgotten(error, token))) throw error
    }
    // Once: a second token_expired is the platform's trouble and goes to the caller.
    return attempt(key, await refreshed(key, token, note), call)
  }

  return {
    async use(key, call, { note = () => {}, scope } = {}) {
      const token = await held(key)
      // No scope at all: the platform did not say, and what was requested is not known any more.
      if (scope && token.scopes.length > 0 && !token.scopes.includes(scope))
        throw new ConnectionUnavailable('scope_missing')
      const result = await useHeld(key, token, call, note)
      if (token.suspended) await lift(key)
      return result
    },
    async settled() {
      while (refreshing.size > 0) await Promise.allSettled(refreshing.values())
    },
  }
}

/** Only as documented, with 401: a stumbling server must not end a connection for good. */
const isRefusal = (error: unknown, code: 'token_expired' | 'token_revoked' | 'invalid_token') =>
  error instanceof ApiError && error.status === 401 && error.code === code
