import { readFileSync } from 'node:fs'
import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify'
import { AppError } from '../http/errors.ts'
import { sendToOwnHost } from '../http/own-host.ts'
import { singleParameters } from '../http/parameters.ts'
import type { KeyState } from '../keys/verdict.ts'
import { ConnectionUnavailable } from '../oauth/access-token.ts'
import type { ConnectionKey, Connections } from '../oauth/connections.ts'
import { connectUrl } from '../oauth/ending-soon.ts'
import { entitlement, type Grant } from '../oauth/entitlement.ts'
import { type Sessions, signedIn } from '../oauth/sessions.ts'
import type { Runtime } from '../process/runtime.ts'
import { ApiError, type EventApi, type PageRequest } from '../revento/api.ts'
import { PAGE_LIMIT } from '../revento/platform.ts'
import type { ParticipantsTable } from '../storage/schema.ts'
import type { Deliveries } from '../webhooks/inbox/deliveries.ts'
import { actions } from './actions.route.ts'
import { deliveriesRoutes } from './deliveries.route.ts'
import { statusPage } from './page.ts'
import { endCode } from './participants.ts'
import { streamRoute } from './stream.route.ts'
import type { Titles } from './titles.ts'

export interface StatusOptions {
  readonly origin: string
  readonly production: boolean
  readonly sandbox: { url: string } | undefined
  readonly defaultEventId: string | undefined
  readonly requestedScopes: readonly string[]
  readonly sessions: Sessions
  readonly connections: Connections
  readonly deliveries: Deliveries
  /** What webhooks have told of the participants. */
  readonly heard: (grant: Grant) => Promise<ParticipantsTable[]>
  readonly api: (grant: Grant, requestId: string) => EventApi
  readonly titles: Titles
  /** Secrets and keys of the app that have a previous one. */
  readonly keyChanges: () => Promise<readonly KeyState[]>
  /** Tries to store; answers why it cannot. */
  readonly trouble: () => Promise<string | undefined>
  readonly runtime: Runtime
}

/** The organizer's page and its JSON. */
export const status: FastifyPluginAsync<StatusOptions> = async (app, o) => {
  await app.register(cookie)
  asset(app, 'style.css', 'text/css; charset=utf-8')
  asset(app, 'page.js', 'text/javascript; charset=utf-8')
  asset(app, 'favicon.svg', 'image/svg+xml')
  app.route({
    method: 'GET',
    url: '/',
    onRequest: sendToOwnHost(o),
    handler: async (request, reply) =>
      reply.type('text/html; charset=utf-8').send((await statusPage(o, request)).text),
  })
  participantsRoute(app, o)
  deliveriesRoutes(app, o)
  streamRoute(app, o)
  await app.register(actions, o)
}

/** A file of this folder, read once. */
function asset(app: FastifyInstance, name: string, type: string): void {
  const content = readFileSync(new URL(`./${name}`, import.meta.url))
  app.get(`/${name}`, (_request, reply) =>
    reply.type(type).header('cache-control', 'max-age=300').send(content),
  )
}

/** GET /participants?event_id=[&cursor=&limit=]: Revento's page as it is. */
function participantsRoute(app: FastifyInstance, o: StatusOptions): void {
  app.get('/participants', async (request, reply) => {
    const { eventId, page } = readQuery(request)
    const key = await entitled(o, request, eventId)
    reply.header('cache-control', 'no-store')
    try {
      return await o.api(key, request.id).participants(page)
    } catch (error) {
      if (error instanceof ApiError && error.retryAfterMs !== undefined)
        reply.header('retry-after', Math.max(1, Math.ceil(error.retryAfterMs / 1000)))
      throw apiFailure(error, key, o.origin)
    }
  })
}

function readQuery(request: FastifyRequest): { eventId: string; page: PageRequest } {
  const parameters = singleParameters(request)
  if (!parameters) throw new AppError('invalid_request', { reason: 'unreadable_query' })
  const limit = parameters.get('limit')
  if (limit !== null && (!/^\d{1,2}$/.test(limit) || Number(limit) < 1 || Number(limit) > PAGE_LIMIT.max))
    throw new AppError('invalid_request', { reason: 'limit' })
  return {
    eventId: parameters.get('event_id') ?? '',
    page: {
      cursor: parameters.get('cursor') ?? undefined,
      limit: limit === null ? undefined : Number(limit),
    },
  }
}

/** Another's event answers exactly like one that does not exist. */
async function entitled(o: StatusOptions, request: FastifyRequest, eventId: string): Promise<Grant> {
  const session = await signedIn(o.sessions, request)
  const held = await entitlement(o.connections.find, session.connections)
  const isIt = (key: ConnectionKey) => key.eventId === eventId
  const connection = held.connections.find(isIt)
  if (!connection) throw new AppError('not_found')
  request.outcome = { event_id: eventId }
  const grant = held.grants.find(isIt)
  if (!grant) throw apiFailure(new ConnectionUnavailable(endCode(connection)), connection, o.origin)
  return grant
}

/** What the API's failure means to the caller of this app. */
export function apiFailure(error: unknown, { eventId }: ConnectionKey, origin: string): unknown {
  if (error instanceof ConnectionUnavailable) {
    if (error.code === 'not_connected') return new AppError('not_found', { reason: error.code })
    if (error.code === 'suspended') return new AppError('suspended')
    return new AppError(error.code, { connectUrl: connectUrl(origin, eventId) })
  }
  if (!(error instanceof ApiError)) return error
  if (error.status === 400) return new AppError('invalid_request', { reason: error.code })
  if (error.code === 'rate_budget_used' || error.code === 'rate_limit_exceeded') {
    const retryAfterS = Math.max(1, Math.ceil((error.retryAfterMs ?? 0) / 1000))
    return new AppError('rate_budget_used', { reason: error.code, retryAfterS })
  }
  // Status 0 is our own verdict: what Revento calls an error cannot pass for one of these.
  const own =
    error.status === 0 && (error.code === 'upstream_timeout' || error.code === 'configuration_error')
  return new AppError(own ? (error.code as 'upstream_timeout') : 'upstream_error', { reason: error.code })
}
