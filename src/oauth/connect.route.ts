import type { CookieSerializeOptions } from '@fastify/cookie'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../http/errors.ts'
import { sendToOwnHost } from '../http/own-host.ts'
import { singleParameters } from '../http/parameters.ts'
import { ID } from '../revento/platform.ts'
import type { TokenEndpoint } from '../revento/token-endpoint.ts'
import type { GrantKind } from '../storage/schema.ts'
import { type Flows, REMEMBER_MS } from './flows.ts'

export interface ConnectOptions {
  readonly origin: string
  readonly production: boolean
  readonly defaultEventId: string | undefined
  readonly hasLogin: boolean
  readonly stateTtlMs: number
  readonly cookie: CookieSerializeOptions
  readonly flows: Flows
  readonly tokenEndpoint: TokenEndpoint
  /** Renders the page that leads on to `url`. */
  readonly onwardPage: (url: string) => string
  /** Whether this caller may start one more flow. */
  readonly mayConnect: (request: FastifyRequest) => boolean
}

/** The link under which an organizer gives consent, or gives it again. */
export const connectUrl = (origin: string, eventId: string) => `${origin}/connect?event_id=${eventId}`

/**
 * GET /connect[?event_id=], for organizers, and GET /login[?event_id=], for participants, start a flow and send the
 * browser to Revento's consent screen: by a redirect, or by a page where the request came from a form (`from=form`).
 */
export function connectRoute(app: FastifyInstance, o: ConnectOptions): void {
  const route = (url: string, kind: GrantKind) =>
    app.route({
      ...{ method: 'GET', url, onRequest: sendToOwnHost(o) },
      handler: (request, reply) => begin(o, kind, request, reply),
    })
  route('/connect', 'installation')
  if (o.hasLogin) route('/login', 'user')
}

async function begin(
  o: ConnectOptions,
  kind: GrantKind,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  if (kind === 'user') request.outcome = LOGIN
  const parameters = singleParameters(request)
  if (!parameters) throw new AppError('invalid_event_id', { reason: 'unreadable_query' })
  const isForm = parameters.get('from') === 'form'
  const eventId = eventIdOf(parameters.get('event_id'), isForm) ?? o.defaultEventId
  if (eventId === undefined) throw new AppError('invalid_event_id', { reason: 'none_given' })
  if (!ID.test(eventId)) throw new AppError('invalid_event_id')
  if (!o.mayConnect(request)) throw new AppError('too_many_requests', { reason: 'flows_from_one_address' })
  const flow = await o.flows.start(eventId, kind)
  const url = await o.tokenEndpoint.authorizationUrl({ ...flow, eventId, kind })
  request.outcome = { ...request.outcome, event_id: eventId }
  for (const name of o.flows.surplus(request.cookies)) void reply.clearCookie(name, o.cookie)
  void reply
    .setCookie(flow.cookieName, flow.cookie, {
      ...o.cookie,
      maxAge: Math.floor((o.stateTtlMs + REMEMBER_MS) / 1000),
    })
    .header('cache-control', 'no-store')
  if (!isForm) return reply.redirect(url, 302)
  // A browser checks every redirect after a form against the page's form-action, those of Revento included.
  return reply.header('refresh', `0; url=${url}`).type('text/html; charset=utf-8').send(o.onwardPage(url))
}

/** The fields in the log line of a participant's request, whose error page offers to sign in. */
export const LOGIN = { flow: 'login' } as const

/** Spaces around an id in the form come from pasting. */
const eventIdOf = (given: string | null, isForm: boolean) => (isForm ? given?.trim() : given) ?? undefined
