import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import { singleParameters } from '../parameters.ts'
import { ID } from '../revento/platform.ts'
import { REMEMBER_MS } from './flows.ts'
import type { OAuthOptions } from './index.ts'
import { sendToOwnHost } from './own-host.ts'

/** GET /connect[?event_id=]: starts a flow and sends the browser to Revento's consent screen. */
export function connectRoute(app: FastifyInstance, o: OAuthOptions): void {
  app.route({
    method: 'GET',
    url: '/connect',
    onRequest: sendToOwnHost(o),
    handler: (request, reply) => connect(o, request, reply),
  })
}

async function connect(o: OAuthOptions, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
  const parameters = singleParameters(request)
  if (!parameters) throw new AppError('invalid_event_id', { reason: 'unreadable_query' })
  const eventId = parameters.get('event_id') ?? o.defaultEventId
  if (!ID.test(eventId)) throw new AppError('invalid_event_id')
  if (!o.mayConnect(request)) throw new AppError('too_many_requests', { reason: 'flows_from_one_address' })
  const flow = await o.flows.start(eventId)
  const url = await o.tokenEndpoint.authorizationUrl({ ...flow, eventId })
  request.outcome = { event_id: eventId }
  return reply
    .setCookie(flow.cookieName, flow.cookie, {
      ...o.cookie,
      maxAge: Math.floor((o.stateTtlMs + REMEMBER_MS) / 1000),
    })
    .header('cache-control', 'no-store')
    .redirect(url, 302)
}
