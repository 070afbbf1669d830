import { DELETION_REQUIRED } from '../../revento/platform.ts'
import { endInstallation } from '../oauth/tokens.ts'
import type { Installation, State } from '../state.ts'

/** What the console can do to connections; each answers how many it changed. No event id: all events. */
export const controls = {
  'expire-access-tokens': expireAccessTokens,
  'expire-refresh-tokens': expireRefreshTokens,
  'revoke-refresh-tokens': revokeRefreshTokens,
  revoke: endAs('revoked'),
  archive: endAs('archived'),
  suspend: endAs('suspended'),
} as const

export type Control = keyof typeof controls
export const CONTROLS = Object.keys(controls) as Control[]

/** The webhook that can tell the app of it. */
export const TOLD_BY: { readonly [C in Control]?: string } = {
  revoke: DELETION_REQUIRED,
  archive: DELETION_REQUIRED,
  suspend: 'integration.suspended',
}

export function active(state: State, eventId: string | undefined): Installation[] {
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

const validAccess = (state: State, owners: Installation[], now: number) =>
  tokensOf(state.access_tokens, owners).filter(token => token.expires_at > now)
const usableRefresh = (state: State, owners: Installation[], now: number) =>
  tokensOf(state.refresh_tokens, owners).filter(token => token.state === 'usable' && token.expires_at > now)

/** What an installation holds now: how many valid access tokens, and until when each kind lasts (ms). */
export function holdings(state: State, installation: Installation, now: number) {
  const latest = (tokens: { expires_at: number }[]) =>
    tokens.length ? Math.max(...tokens.map(({ expires_at }) => expires_at)) : null
  const access = validAccess(state, [installation], now)
  const refreshUntil = latest(usableRefresh(state, [installation], now))
  return { access: access.length, accessUntil: latest(access), refreshUntil }
}

function expireAccessTokens(state: State, eventId: string | undefined, now: number): number {
  const valid = validAccess(state, active(state, eventId), now)
  for (const token of valid) token.expires_at = now
  return valid.length
}

function expireRefreshTokens(state: State, eventId: string | undefined, now: number): number {
  const usable = usableRefresh(state, active(state, eventId), now)
  for (const token of usable) token.expires_at = now
  return usable.length
}

function revokeRefreshTokens(state: State, eventId: string | undefined, now: number): number {
  const usable = usableRefresh(state, active(state, eventId), now)
  for (const token of usable) token.state = 'revoked'
  return usable.length
}

function endAs(reason: 'revoked' | 'archived' | 'suspended') {
  return (state: State, eventId: string | undefined): number => {
    const current = active(state, eventId)
    for (const installation of current) endInstallation(installation, reason)
    return current.length
  }
}
