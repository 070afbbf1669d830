import type { FastifyInstance, FastifyRequest } from 'fastify'
import { AppError } from '../http/errors.ts'
import { singleParameters } from '../http/parameters.ts'
import { ConnectionUnavailable } from '../oauth/access-token.ts'
import { apiFailure, endCode } from '../oauth/api-failure.ts'
import type { ConnectionKey } from '../oauth/connections.ts'
import { entitlement, type Grant } from '../oauth/entitlement.ts'
import { signedIn } from '../oauth/sessions.ts'
import { ApiError, type PageRequest } from '../revento/api.ts'
import { PAGE_LIMIT } from '../revento/platform.ts'
import type { StatusOptions } from './options.ts'

/** GET /participants?event_id=[&cursor=&limit=] answers with Revento's page as it is. */
export function participantsRoute(app: FastifyInstance, o: StatusOptions): void {
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

/** Finds the grant of this session for an event. The event of another session is answered like an unknown one. */
async function entitled(o: StatusOptions, request: FastifyRequest, eventId: string): Promise<Grant> {
  const session = await signedIn(o.sessions, request)
  const { connections, grants } = await entitlement(o.connections.find, session.connections)
  const isIt = (key: ConnectionKey) => key.eventId === eventId
  const connection = connections.find(isIt)
  if (!connection) throw new AppError('not_found')
  request.outcome = { event_id: eventId }
  const grant = grants.find(isIt)
  if (!grant) throw apiFailure(new ConnectionUnavailable(endCode(connection)), connection, o.origin)
  return grant
}
