import { FixedTextError } from '../disclosure.ts'
import type { Log } from '../log.ts'
import { ApiError } from '../revento/api.ts'
import type { Call as ReventoCall } from '../revento/call.ts'
import type { Runtime } from '../runtime.ts'
import type { ConnectionKey, Connections, HeldToken } from './connections.ts'
import type { Refresh } from './refresh.ts'

/**
 * The connection cannot be used until the organizer does something. `reconsent_required`: connect again;
 * a handler's delivery is parked until then. `revoked` covers every state that ended for good.
 */
export class ConnectionUnavailable extends FixedTextError {
  readonly code: 'reconsent_required' | 'revoked' | 'not_connected'
  constructor(code: 'reconsent_required' | 'revoked' | 'not_connected') {
    super(`connection unavailable: ${code}`)
    this.name = 'ConnectionUnavailable'
    this.code = code
  }
}

type Call<T> = (accessToken: string) => Promise<T>
/** Takes a refresh that the call had to wait for, once it has ended. */
type Note = (refresh: ReventoCall) => void

export interface AccessTokens {
  /**
   * The one door to the API. Runs `call` with a live access token; after the exact `token_expired` it refreshes and
   * runs it once more. Throws ConnectionUnavailable, or the call's own ApiError.
   */
  use<T>(key: ConnectionKey, call: Call<T>, note?: Note): Promise<T>
  /** When the refreshes under way have ended: a process that stops should not leave one unaccounted for. */
  settled(): Promise<void>
}

export function createAccessTokens(
  o: { connections: Connections; refresh: Refresh; log: Log },
  runtime: Pick<Runtime, 'now'>,
): AccessTokens {
  const { connections, log } = o
  /** Callers in this process that need the same refresh wait for one; other processes wait for the lease. */
  const refreshing = new Map<string, Promise<void>>()

  async function held(key: ConnectionKey): Promise<HeldToken> {
    const token = await connections.open(key)
    if (token) return token
    const connection = await connections.find(key)
    if (!connection || connection.state === 'deleted') throw new ConnectionUnavailable('not_connected')
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
    return held(key)
  }

  /** Permanent: no refresh is tried. Where another writer was first, that one's token decides. */
  async function revoked<T>(key: ConnectionKey, seen: HeldToken, call: Call<T>): Promise<T> {
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

  return {
    async use(key, call, note = () => {}) {
      const token = await held(key)
      try {
        return await attempt(key, token, call)
      } catch (error) {
        if (!(isRefusal(error, 'token_expired') || isForgotten(error, token))) throw error
      }
      // Once: a second token_expired is the platform's trouble and goes to the caller.
      return attempt(key, await refreshed(key, token, note), call)
    },
    async settled() {
      while (refreshing.size > 0) await Promise.allSettled(refreshing.values())
    },
  }
}

/** Only as documented, with 401: a stumbling server must not end a connection for good. */
const isRefusal = (error: unknown, code: 'token_expired' | 'token_revoked' | 'invalid_token') =>
  error instanceof ApiError && error.status === 401 && error.code === code
