import { SCOPES } from '../../revento/platform.ts'
import { findEvent, type TestEvent } from '../api/events.ts'
import type { SandboxOptions } from '../options.ts'
import { one, single } from '../single.ts'

export interface AuthorizeRequest {
  event: TestEvent
  scope: string
  state: string
  codeChallenge: string
}

export type AuthorizeError = 'invalid_request' | 'unsupported_response_type' | 'invalid_scope'

export type AuthorizeVerdict =
  | { ok: true; request: AuthorizeRequest }
  /** Nobody to redirect to: the error stays on the sandbox (RFC 6749 section 4.1.2.1). */
  | { ok: false; show: 'client_id' | 'redirect_uri' }
  | { ok: false; redirect: AuthorizeError; description: string; state: string | undefined }

const CHALLENGE = /^[A-Za-z0-9_-]{43}$/
const SCOPE_TEXT = /^[\x21\x23-\x5b\x5d-\x7e]+( [\x21\x23-\x5b\x5d-\x7e]+)*$/

type Registered = Pick<SandboxOptions, 'clientId' | 'redirectUri'>

/** Judges the query of GET /oauth/authorize. The redirect URI is compared byte for byte, a trailing slash included. */
export function judgeAuthorize(query: unknown, { clientId, redirectUri }: Registered): AuthorizeVerdict {
  if (one(query, 'client_id') !== clientId) return { ok: false, show: 'client_id' }
  if (one(query, 'redirect_uri') !== redirectUri) return { ok: false, show: 'redirect_uri' }

  const state = one(query, 'state')
  const refuse = (redirect: AuthorizeError, description: string) =>
    ({ ok: false, redirect, description, state }) as const
  const fields = single(query)
  if (!fields) return refuse('invalid_request', 'a parameter is repeated')
  if (!state) return refuse('invalid_request', 'state is missing')
  if (fields.get('response_type') !== 'code')
    return refuse('unsupported_response_type', 'response_type is code')
  const codeChallenge = fields.get('code_challenge') ?? ''
  if (fields.get('code_challenge_method') !== 'S256' || !CHALLENGE.test(codeChallenge))
    return refuse('invalid_request', 'PKCE with S256 is required')
  const event = findEvent(fields.get('event_id') ?? '')
  if (!event) return refuse('invalid_request', 'event_id is not a test event')
  const scope = readScope(fields.get('scope') ?? '')
  if (!scope) return refuse('invalid_scope', `scopes of this flow: ${SCOPES.join(', ')}`)
  return { ok: true, request: { event, scope, state, codeChallenge } }
}

/** Scopes of the other flow (profile.read, event.attendance) are refused like unknown ones. */
function readScope(text: string): string | undefined {
  if (!SCOPE_TEXT.test(text)) return undefined
  const wanted = [...new Set(text.split(' '))]
  return wanted.every(scope => SCOPES.some(known => known === scope)) ? wanted.join(' ') : undefined
}
