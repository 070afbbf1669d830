import { createHash } from 'node:crypto'
import { USER_MEMBER, USER_PREFIX } from '../../revento/login.ts'
import { ACCESS_TOKEN_S, CONSENT_S, INSTALLATION_PREFIX, REFRESH_TOKEN_S } from '../../revento/platform.ts'
import type { Clock } from '../clock.ts'
import type { Code, Installation, State } from '../state.ts'

const CODE_LIFE_MS = 60_000

export const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const secretText = (clock: Clock) => clock.bytes(32).toString('base64url')

type Consent = Omit<Code, 'issued_at' | 'spent' | 'installation'>

/** Issues a code for a consent. Only the hash of it is kept. */
export function issueCode(state: State, consent: Consent, clock: Clock): string {
  const code = secretText(clock)
  state.codes[sha256(code)] = { ...consent, issued_at: clock.now(), spent: false, installation: null }
  return code
}

/**
 * Turns a code into an installation; undefined means invalid_grant. The first use spends the code, successful or not; a
 * later one also ends the installation of the first (RFC 6749 section 4.1.2).
 */
export function redeemCode(
  state: State,
  use: Record<'code' | 'redirectUri' | 'verifier', string>,
  clock: Clock,
): Installation | undefined {
  const code = state.codes[sha256(use.code)]
  if (!code) return undefined
  if (code.spent) {
    endInstallation(state.installations[code.installation ?? ''], 'code_reused')
    return undefined
  }
  code.spent = true
  if (clock.now() - code.issued_at >= CODE_LIFE_MS) return undefined
  if (use.redirectUri !== code.redirect_uri) return undefined
  if (createHash('sha256').update(use.verifier).digest('base64url') !== code.code_challenge) return undefined
  const installation = install(state, code, clock)
  code.installation = installation.id
  return installation
}

/** Makes an installation. A new consent for the same event and organization replaces the earlier one. */
function install(state: State, code: Code, clock: Clock): Installation {
  for (const earlier of Object.values(state.installations))
    if (
      earlier.event_id === code.event_id &&
      earlier.organization_id === code.organization_id &&
      earlier.user_id === code.user_id
    )
      endInstallation(earlier, 'replaced')
  const { event_id, organization_id, user_id, scope, issued_at } = code
  const id = `ins_${clock.bytes(9).toString('base64url')}`
  const whose = { event_id, organization_id, ...(user_id !== undefined && { user_id }) }
  const installation = { id, ...whose, scope, consented_at: issued_at, ended: null }
  state.installations[id] = installation
  return installation
}

/** Whether an organizer's consent stands, without which no participant can sign in. */
export const isConnected = (state: State, eventId: string) =>
  Object.values(state.installations).some(
    one => one.event_id === eventId && one.user_id === undefined && one.ended === null,
  )

export function endInstallation(
  installation: Installation | undefined,
  ended: NonNullable<Installation['ended']>,
) {
  if (installation && installation.ended === null) installation.ended = ended
}

/** The token answer of RFC 6749 section 5.1 with Revento's additions. Its times are in seconds. */
export function issueTokens(state: State, installation: Installation, clock: Clock) {
  const now = clock.now()
  const prefix = installation.user_id === undefined ? INSTALLATION_PREFIX : USER_PREFIX
  const [access, refresh] = [`${prefix}${secretText(clock)}`, `rev_refresh_${secretText(clock)}`]
  const leftS = Math.floor((endOfConsent(installation) - now) / 1000)
  const refreshS = Math.min(REFRESH_TOKEN_S, leftS)
  const { id, scope, event_id, organization_id, user_id } = installation
  state.access_tokens[sha256(access)] = { installation: id, expires_at: now + ACCESS_TOKEN_S * 1000 }
  state.refresh_tokens[sha256(refresh)] = {
    installation: id,
    expires_at: now + refreshS * 1000,
    state: 'usable',
  }
  return {
    access_token: access,
    refresh_token: refresh,
    token_type: 'Bearer',
    expires_in: ACCESS_TOKEN_S,
    refresh_expires_in: refreshS,
    scope,
    event_id,
    organization_id,
    ...(user_id !== undefined && { [USER_MEMBER]: user_id }),
  }
}

const endOfConsent = ({ consented_at }: Installation) => consented_at + CONSENT_S * 1000

/** Consumes a refresh token; undefined means invalid_grant. A second use of it ends the whole family. */
export function rotate(state: State, refreshToken: string, now: number): Installation | undefined {
  const token = state.refresh_tokens[sha256(refreshToken)]
  const installation = token && state.installations[token.installation]
  if (!token || !installation) return undefined
  if (token.state === 'consumed') endInstallation(installation, 'refresh_token_reused')
  if (installation.ended !== null || token.state !== 'usable' || now >= token.expires_at) return undefined
  token.state = 'consumed'
  return installation
}

type AccessVerdict =
  | { ok: true; installation: Installation }
  | { ok: false; code: 'invalid_token' | 'token_expired' | 'token_revoked' }

export function judgeAccess(state: State, accessToken: string, now: number): AccessVerdict {
  const token = state.access_tokens[sha256(accessToken)]
  const installation = token && state.installations[token.installation]
  if (!token || !installation) return { ok: false, code: 'invalid_token' }
  if (installation.ended !== null) return { ok: false, code: 'token_revoked' }
  if (now >= token.expires_at) return { ok: false, code: 'token_expired' }
  return { ok: true, installation }
}

/** Drops what can no longer change an answer that matters: codes after a day, tokens 90 days after their end. */
export function prune(state: State, now: number): void {
  const late = REFRESH_TOKEN_S * 1000
  drop(state.codes, code => now - code.issued_at > 86_400_000)
  drop(state.access_tokens, token => now - token.expires_at > late)
  drop(state.refresh_tokens, token => now - token.expires_at > late)
  drop(state.installations, installation => now - endOfConsent(installation) > late)
}

function drop<T>(record: Record<string, T>, isOver: (value: T) => boolean): void {
  for (const [key, value] of Object.entries(record)) if (isOver(value)) delete record[key]
}

/** A request to the token endpoint, without its secrets. */
interface TokenRequest {
  at: string
  grant_type: string
  event_id: string | null
  /** `issued`, or the error code. */
  outcome: string
}

const KEPT = 500

export function createTokenRequests() {
  const data: TokenRequest[] = []
  let total = 0
  return {
    add(entry: TokenRequest): void {
      total += 1
      data.push(entry)
      if (data.length > KEPT) data.shift()
    },
    /** The newest requests are kept; `total` counts all. */
    list: () => ({ total, data: [...data] }),
    forget(): void {
      total = 0
      data.length = 0
    },
  }
}
