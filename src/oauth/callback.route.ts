import type { CookieSerializeOptions } from '@fastify/cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError, type ErrorCode } from '../http/errors.ts'
import { prefersHtml, singleParameters } from '../http/parameters.ts'
import { ApiError, type EventApi } from '../revento/api.ts'
import type { Page } from '../revento/platform.ts'
import type { TokenEndpoint } from '../revento/token-endpoint.ts'
import type { TokenOutcome, TokenSet } from '../revento/token-outcome.ts'
import { ConnectionUnavailable } from './access-token.ts'
import type { ConnectionKey, Connections } from './connections.ts'
import type { Flows } from './flows.ts'
import type { Sessions } from './sessions.ts'

export interface CallbackOptions {
  readonly cookie: CookieSerializeOptions
  readonly flows: Flows
  readonly tokenEndpoint: TokenEndpoint
  readonly connections: Connections
  readonly sessions: Sessions
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

  const outcome = await o.tokenEndpoint.exchangeCode(parameters, flow.codeVerifier)
  const tokens = usableTokens(outcome, flow.eventId)
  await o.connections.save(tokens)
  const key = { eventId: tokens.eventId, organizationId: tokens.organizationId }
  request.outcome = { event_id: key.eventId, organization_id: key.organizationId }
  await o.sessions.grant(request, reply, key)
  o.resume(key)

  const first = await firstCall(o, key, request.id)
  if (prefersHtml(request)) return reply.redirect('/', 303)
  return reply.send({ message: 'Connected!', event_id: key.eventId, ...first })
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
  if (flow.eventId !== undefined) request.outcome = { event_id: flow.eventId }
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

function usableTokens(outcome: TokenOutcome, eventId: string): TokenSet {
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
  return tokens
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
