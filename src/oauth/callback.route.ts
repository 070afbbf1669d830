import type { CookieSerializeOptions } from '@fastify/cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError, type ErrorCode } from '../http/errors.ts'
import { prefersHtml, singleParameters } from '../http/parameters.ts'
import { ApiError, type EventApi } from '../revento/api.ts'
import { INSTALLATION_PREFIX, type Page, SCOPES, USER_SCOPES } from '../revento/platform.ts'
import type { TokenEndpoint } from '../revento/token-endpoint.ts'
import type { TokenOutcome, TokenSet } from '../revento/token-outcome.ts'
import type { GrantKind } from '../storage/schema.ts'
import { ConnectionUnavailable } from './access-token.ts'
import { LOGIN } from './connect.route.ts'
import type { ConnectionKey, Connections } from './connections.ts'
import type { Consumed, Flows } from './flows.ts'
import type { Sessions } from './sessions.ts'
import type { SignInSessions } from './sign-in-sessions.ts'
import type { SignIns } from './sign-ins.ts'

export interface CallbackOptions {
  readonly cookie: CookieSerializeOptions
  readonly flows: Flows
  readonly tokenEndpoint: TokenEndpoint
  readonly connections: Connections
  readonly sessions: Sessions
  readonly signIns: SignIns
  readonly signInSessions: SignInSessions
  readonly api: (key: ConnectionKey, requestId: string) => EventApi
  /** Called when a connection was made, so that its parked deliveries go on. */
  readonly resume: (key: ConnectionKey) => void
}

const FIRST_PAGE = 10
const DECLINED = 'access_denied'

/** GET /callback uses up one flow, exchanges its code for tokens, stores them, and makes the first call. */
export function callbackRoute(app: FastifyInstance, o: CallbackOptions): void {
  app.route({ method: 'GET', url: '/callback', handler: (request, reply) => callback(o, request, reply) })
}

async function callback(
  o: CallbackOptions,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  reply.header('cache-control', 'no-store')
  const parameters = singleParameters(request)
  if (!parameters) throw new AppError('invalid_request', { reason: 'unreadable_query' })
  const { state, error } = checkParameters(parameters)
  const flow = await consumeFlow(o, { request, reply }, state, error)
  if (error !== null) throw authorizationError(error)
  if (flow.kind === 'user') return signIn(o, { request, reply }, parameters, flow)

  const outcome = await o.tokenEndpoint.exchangeCode(parameters, flow.codeVerifier)
  const tokens = usableTokens(outcome, flow)
  await o.connections.save(tokens)
  const key = { eventId: tokens.eventId, organizationId: tokens.organizationId }
  request.outcome = { event_id: key.eventId, organization_id: key.organizationId }
  await o.sessions.grant(request, reply, key)
  o.resume(key)

  const first = await firstCall(o, key, request.id)
  if (prefersHtml(request)) return reply.redirect('/', 303)
  return reply.send({ message: 'Connected!', event_id: key.eventId, ...first })
}

/** A participant's token needs no organization in its answer: the event's connection knows it. */
async function signIn(
  o: CallbackOptions,
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
  parameters: URLSearchParams,
  flow: Consumed & { ok: true },
): Promise<FastifyReply> {
  const { eventId, codeVerifier } = flow
  const organizationId = await o.signIns.organizationOf(eventId)
  if (organizationId === undefined) throw new AppError(DECLINED, { reason: 'event_not_connected' })
  const outcome = await o.tokenEndpoint.exchangeCode(parameters, codeVerifier, { eventId, organizationId })
  const tokens = usableTokens(outcome, flow)
  if (tokens.organizationId !== organizationId)
    throw new AppError('event_mismatch', { reason: 'token_of_another_organization' })
  const key = await o.signIns.save(tokens)
  if (!key) throw new AppError(DECLINED, { reason: 'event_not_connected' })
  request.outcome = { ...request.outcome, sign_in: key.signIn }
  await o.signInSessions.begin(request, reply, key)
  if (prefersHtml(request)) return reply.redirect('/me', 303)
  return reply.send({ message: 'Signed in!', event_id: eventId })
}

const CODE = /^[\x20-\x7e]{1,2048}$/

/** A declined consent is reported even without a state: whether errors carry one is not documented. */
function checkParameters(parameters: URLSearchParams): { state: string; error: string | null } {
  const [code, state, error] = [parameters.get('code'), parameters.get('state'), parameters.get('error')]
  if (code !== null && error !== null) throw new AppError('invalid_request', { reason: 'code_and_error' })
  if (!state) throw new AppError(error === DECLINED ? DECLINED : 'state_missing')
  if (error === null && (code === null || !CODE.test(code)))
    throw new AppError('invalid_request', { reason: 'code_missing_or_malformed' })
  return { state, error }
}

async function consumeFlow(
  o: CallbackOptions,
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
  state: string,
  error: string | null,
) {
  const name = o.flows.cookieName(state)
  const flow = await o.flows.consume(state, request.cookies[name])
  if (flow.ok) void reply.clearCookie(name, o.cookie)
  // The event id is for the log, and for the button of the error page.
  if (flow.eventId !== undefined)
    request.outcome = { event_id: flow.eventId, ...(flow.kind === 'user' && LOGIN) }
  if (!flow.ok) throw new AppError(error === DECLINED ? DECLINED : flow.reason, { reason: flow.reason })
  return flow
}

/** RFC 6749 section 4.1.2.1. The event id is the only part of the request that a person gives. */
const AUTHORIZATION_ERRORS = new Map<string, ErrorCode>([
  [DECLINED, DECLINED],
  ['server_error', 'upstream_error'],
  ['temporarily_unavailable', 'upstream_error'],
  ['unauthorized_client', 'configuration_error'],
  ['unsupported_response_type', 'configuration_error'],
  ['invalid_scope', 'configuration_error'],
  ['invalid_request', 'event_rejected'],
])

function authorizationError(error: string): AppError {
  const code = AUTHORIZATION_ERRORS.get(error)
  return new AppError(code ?? 'event_rejected', { reason: code ? error : 'undocumented_error' })
}

function usableTokens(outcome: TokenOutcome, { eventId, kind }: Consumed & { ok: true }): TokenSet {
  switch (outcome.kind) {
    case 'rejected':
      throw new AppError('code_rejected', { reason: 'invalid_grant' })
    case 'configuration':
      throw new AppError('configuration_error', { reason: outcome.detail })
    case 'transient':
    case 'unknown':
      throw new AppError(outcome.timeout ? 'upstream_timeout' : 'upstream_error', { reason: outcome.detail })
    default:
  }
  const { tokens } = outcome
  if (tokens.eventId !== eventId) throw new AppError('event_mismatch', { reason: 'token_for_another_event' })
  if (tokens.refreshToken === undefined) throw new AppError('upstream_error', { reason: 'no_refresh_token' })
  if (isOfOther(kind, tokens)) throw new AppError('upstream_error', { reason: 'token_of_the_other_kind' })
  return tokens
}

/** Each flow has scopes of its own, and an installation's token says by its beginning what it is. */
function isOfOther(kind: GrantKind, { accessToken, scope = '' }: TokenSet): boolean {
  const others: readonly string[] = kind === 'user' ? SCOPES : USER_SCOPES
  const isForeign = kind === 'user' && accessToken.startsWith(INSTALLATION_PREFIX)
  return isForeign || scope.split(' ').some(name => others.includes(name))
}

/** The connection is already stored, so a failure of this call does not undo it. */
async function firstCall(
  o: CallbackOptions,
  key: ConnectionKey,
  requestId: string,
): Promise<{ participants: Page | null; participants_error?: string }> {
  try {
    return { participants: await o.api(key, requestId).participants({ limit: FIRST_PAGE }) }
  } catch (error) {
    if (!(error instanceof ApiError || error instanceof ConnectionUnavailable)) throw error
    return { participants: null, participants_error: error.code }
  }
}
