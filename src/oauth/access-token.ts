import { ApiError } from '../revento/api.ts'
import type { TokenEndpoint } from '../revento/token-endpoint.ts'
import type { ConnectionKey, Connections, HeldTokens } from './connections.ts'

/**
 * The connection cannot be used until the organizer does something. `reconsent_required`: connect again;
 * a handler's delivery is parked until then. `revoked` covers every state that ended for good.
 */
export class ConnectionUnavailable extends Error {
  readonly code: 'reconsent_required' | 'revoked' | 'not_connected'
  constructor(code: 'reconsent_required' | 'revoked' | 'not_connected') {
    super(`connection unavailable: ${code}`)
    this.name = 'ConnectionUnavailable'
    this.code = code
  }
}

type Call<T> = (accessToken: string) => Promise<T>

export interface AccessTokens {
  /**
   * The one door to the API. Runs `call` with a live access token; after the exact `token_expired` it refreshes and
   * runs it once more. Throws ConnectionUnavailable, or the call's own ApiError.
   */
  use<T>(key: ConnectionKey, call: Call<T>): Promise<T>
}

export interface AccessTokensLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export function createAccessTokens(
  connections: Connections,
  tokenEndpoint: TokenEndpoint,
  log: AccessTokensLog,
): AccessTokens {
  /** Callers in this process that need the same refresh wait for one request. */
  const refreshing = new Map<string, Promise<HeldTokens>>()

  async function held(key: ConnectionKey): Promise<HeldTokens> {
    const tokens = await connections.open(key)
    if (tokens) return tokens
    const connection = await connections.find(key)
    if (!connection || connection.state === 'deleted') throw new ConnectionUnavailable('not_connected')
    throw new ConnectionUnavailable(connection.state === 'reconsent' ? 'reconsent_required' : 'revoked')
  }

  function refreshOnce(key: ConnectionKey, seen: HeldTokens): Promise<HeldTokens> {
    const name = `${key.eventId} ${key.organizationId}`
    const running = refreshing.get(name)
    if (running !== undefined) return running
    const started = refresh(key, seen).finally(() => refreshing.delete(name))
    refreshing.set(name, started)
    return started
  }

  async function refresh(key: ConnectionKey, seen: HeldTokens): Promise<HeldTokens> {
    const before = await held(key)
    if (before.version !== seen.version) return before
    const outcome = await tokenEndpoint.refresh(before.refreshToken)
    const fields = { part: 'oauth', event_id: key.eventId, outcome: outcome.kind }
    switch (outcome.kind) {
      case 'tokens': {
        const { eventId, organizationId } = outcome.tokens
        if (eventId !== key.eventId || organizationId !== key.organizationId) {
          log.error({ ...fields, outcome: 'other_event' }, 'refresh answered for another event: refused')
          throw new ApiError('upstream_error', 0, '')
        }
        // Committed before anybody uses it: a crash in between must not leave the only copy in memory.
        await connections.rotate(key, outcome.tokens, before)
        log.info(fields, 'access token refreshed')
        return held(key)
      }
      case 'rejected':
        if (await connections.end(key, 'reconsent', 'invalid_grant', before.version))
          log.warn(fields, 'refresh token rejected: the organizer has to connect this event again')
        return held(key)
      case 'configuration':
        log.error({ ...fields, detail: outcome.detail }, 'Revento refuses this client: check its credentials')
        throw new ApiError('configuration_error', 0, '')
      default:
        log.warn({ ...fields, detail: outcome.detail }, 'refresh failed for now')
        throw new ApiError(outcome.timeout ? 'upstream_timeout' : 'upstream_error', 0, '')
    }
  }

  /** Permanent: no refresh is tried. Where another writer was first, that one's token decides. */
  async function revoked<T>(key: ConnectionKey, seen: HeldTokens, call: Call<T>): Promise<T> {
    if (await connections.end(key, 'revoked', 'token_revoked', seen.version)) {
      log.warn({ part: 'oauth', event_id: key.eventId }, 'connection revoked by Revento')
      throw new ConnectionUnavailable('revoked')
    }
    const newer = await held(key)
    return call(newer.accessToken)
  }

  async function attempt<T>(key: ConnectionKey, tokens: HeldTokens, call: Call<T>): Promise<T> {
    try {
      return await call(tokens.accessToken)
    } catch (error) {
      if (isRefusal(error, 'token_revoked')) return revoked(key, tokens, call)
      throw error
    }
  }

  return {
    async use(key, call) {
      const tokens = await held(key)
      try {
        return await attempt(key, tokens, call)
      } catch (error) {
        if (!isRefusal(error, 'token_expired')) throw error
      }
      // Once: a second token_expired is the platform's trouble and goes to the caller.
      return attempt(key, await refreshOnce(key, tokens), call)
    },
  }
}

/** Only as documented, with 401: a stumbling server must not end a connection for good. */
const isRefusal = (error: unknown, code: 'token_expired' | 'token_revoked') =>
  error instanceof ApiError && error.status === 401 && error.code === code
