import type { Installation, State } from './state.ts'
import { endInstallation } from './tokens.ts'

/** What the console can do to connections; each answers how many it changed. No event id: all events. */
export const controls = {
  'expire-access-tokens': expireAccessTokens,
  'revoke-refresh-tokens': revokeRefreshTokens,
  revoke: revokeInstallations,
} as const

export type Control = keyof typeof controls

function active(state: State, eventId: string | undefined): Installation[] {
  return Object.values(state.installations).filter(
    ({ ended, event_id }) => ended === null && (eventId === undefined || event_id === eventId),
  )
}

function tokensOf<T extends { installation: string }>(
  tokens: Record<string, T>,
  owners: Installation[],
): T[] {
  const ids = new Set(owners.map(({ id }) => id))
  return Object.values(tokens).filter(token => ids.has(token.installation))
}

function expireAccessTokens(state: State, eventId: string | undefined, now: number): number {
  const valid = tokensOf(state.access_tokens, active(state, eventId)).filter(token => token.expires_at > now)
  for (const token of valid) token.expires_at = now
  return valid.length
}

function revokeRefreshTokens(state: State, eventId: string | undefined): number {
  const usable = tokensOf(state.refresh_tokens, active(state, eventId)).filter(
    token => token.state === 'usable',
  )
  for (const token of usable) token.state = 'revoked'
  return usable.length
}

function revokeInstallations(state: State, eventId: string | undefined): number {
  const current = active(state, eventId)
  for (const installation of current) endInstallation(installation, 'revoked')
  return current.length
}
