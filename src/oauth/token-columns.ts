import { type Sealer, tokenPlace } from '../keys/sealing.ts'
import { ACCESS_TOKEN_S, type ConnectionKey, REFRESH_TOKEN_S } from '../revento/platform.ts'
import type { TokenSet } from '../revento/token-outcome.ts'
import { isOf } from '../storage/erasures.ts'
import type { Platform } from '../storage/schema.ts'

/** The condition that selects one connection of this platform. */
export const isConnection =
  (platform: Platform) =>
  ({ eventId, organizationId }: ConnectionKey) =>
    isOf({ platform, event_id: eventId, organization_id: organizationId })

/** No refresh is under way and none has failed: every new pair of tokens begins like this. */
export const SETTLED = {
  lease_owner: null,
  lease_until: 0,
  refresh_phase: 'idle' as const,
  refresh_not_before: 0,
  refresh_noted_at: 0,
  refresh_failure: null,
  refresh_failures: 0,
  refresh_failing_since: 0,
}

/** The columns of a connection that has no tokens any more. */
export const ENDED = { access_token: null, refresh_token: null, ...SETTLED }

/** The sealed pair. A refresh may be answered without a refresh token: then the spent one stays valid. */
export function tokenColumns(
  sealer: Sealer,
  tokens: TokenSet,
  consentEnd: number,
  now: number,
  spentRefreshToken = '',
) {
  const row = { event_id: tokens.eventId, organization_id: tokens.organizationId }
  const refreshToken = tokens.refreshToken ?? spentRefreshToken
  return {
    access_token: sealer.seal(tokens.accessToken, tokenPlace(row, 'access_token')),
    refresh_token: sealer.seal(refreshToken, tokenPlace(row, 'refresh_token')),
    ...expiries(tokens, now, consentEnd),
    updated_at: now,
  }
}

/** Lifetimes are as Revento states them, but never above the documented ones, which also stand in for absent ones. */
function expiries(tokens: TokenSet, now: number, consentEnd: number) {
  const access = Math.min(tokens.expiresIn ?? ACCESS_TOKEN_S, ACCESS_TOKEN_S)
  const refresh = Math.min(tokens.refreshExpiresIn ?? REFRESH_TOKEN_S, REFRESH_TOKEN_S)
  return {
    access_expires_at: now + Math.floor(access * 1000),
    refresh_expires_at: Math.min(now + Math.floor(refresh * 1000), consentEnd),
  }
}
