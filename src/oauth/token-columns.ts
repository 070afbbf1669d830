import { type Sealer, tokenPlace } from '../keys/sealing.ts'
import { ACCESS_TOKEN_S, CONSENT_S, REFRESH_TOKEN_S } from '../revento/platform.ts'
import type { TokenSet } from '../revento/token-outcome.ts'

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

/** The columns of a grant that has no tokens any more. */
export const ENDED = { access_token: null, refresh_token: null, ...SETTLED }

/** The columns that a consent writes, whosever it is. */
export const consentColumns = (
  sealer: Sealer,
  tokens: TokenSet,
  now: number,
  requestedScopes: string | undefined,
  row?: Row,
) => ({
  state: 'connected' as const,
  reason: null,
  scope: tokens.scope ?? requestedScopes ?? '',
  ...tokenColumns(sealer, tokens, now + CONSENT_S * 1000, now, '', row),
  ...SETTLED,
  consent_expires_at: now + CONSENT_S * 1000,
  connected_at: now,
})

type Row = Parameters<typeof tokenPlace>[0]

/** The sealed pair. A refresh may be answered without a refresh token: then the spent one stays valid. */
export function tokenColumns(
  sealer: Sealer,
  tokens: TokenSet,
  consentEnd: number,
  now: number,
  spentRefreshToken = '',
  row: Row = { event_id: tokens.eventId, organization_id: tokens.organizationId },
) {
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
