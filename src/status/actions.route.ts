import formbody from '@fastify/formbody'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../http/errors.ts'
import { prefersHtml } from '../http/parameters.ts'
import type { Connection } from '../oauth/connections.ts'
import { entitlement, type Grant, grantFor } from '../oauth/entitlement.ts'
import { type Session, signedIn } from '../oauth/sessions.ts'
import { checkForm, field, REFUSED } from '../pages/forms.ts'
import type { StatusOptions } from './options.ts'

/** The routes behind an organizer's buttons. They are encapsulated, so that they take forms and nothing else. */
export const actions: FastifyPluginAsync<StatusOptions> = async (app, o) => {
  app.removeAllContentTypeParsers()
  await app.register(formbody, { bodyLimit: 4096 })
  const permitted = async (request: FastifyRequest): Promise<Session> => {
    const session = await signedIn(o.sessions, request)
    checkForm(request, session, o.origin)
    return session
  }

  app.post('/disconnect', async (request, reply) => {
    const session = await permitted(request)
    const { connection: key } = await own(
      o,
      session,
      field(request, 'event_id'),
      field(request, 'organization_id'),
    )
    await o.connections.disconnect(key)
    request.outcome = { event_id: key.eventId, organization_id: key.organizationId }
    return done(request, reply, '/', { event_id: key.eventId, organization_id: key.organizationId })
  })

  app.post('/sync', async (request, reply) => {
    const session = await permitted(request)
    const of = [field(request, 'event_id'), field(request, 'organization_id')] as const
    const { grant } = await own(o, session, ...of)
    const [run] = grant ? await o.sync.ask(grant, 'asked') : []
    if (!run) throw new AppError('not_found')
    const [event_id, organization_id] = of
    request.outcome = { event_id, organization_id }
    return done(request, reply, `/?${new URLSearchParams({ event_id })}`, {
      event_id,
      organization_id,
      run: run.id,
    })
  })

  app.post<{ Params: { id: string } }>('/deliveries/:id/replay', async (request, reply) => {
    const session = await permitted(request)
    const { id } = request.params
    const { grants } = await entitlement(o.connections.find, session.connections)
    const replayed = await o.deliveries.replay(id, grants, o.runtime.now())
    if (replayed !== 'replayed') throw new AppError(REFUSED[replayed])
    request.outcome = { delivery: id }
    return done(request, reply, field(request, 'from') === 'story' ? `/deliveries/${id}` : '/', { id })
  })

  app.post('/logout', async (request, reply) => {
    await o.sessions.end(await permitted(request), reply)
    return done(request, reply, '/', {})
  })
}

/** Finds a connection of this session. A connection of another session is answered like one that does not exist. */
export async function own(
  o: Pick<StatusOptions, 'connections'>,
  session: Session,
  eventId: string | null,
  organizationId: string | null,
): Promise<{ connection: Connection; grant: Grant | undefined }> {
  const entitled = await entitlement(o.connections.find, session.connections)
  const isIt = (c: Connection) => c.eventId === eventId && c.organizationId === organizationId
  const connection = entitled.connections.find(isIt)
  if (!connection) throw new AppError('not_found')
  return { connection, grant: grantFor(entitled, connection) }
}

/** Sends a browser on to a page, which a reload does not repeat; answers other callers `{"done":true,…}`. */
function done(request: FastifyRequest, reply: FastifyReply, path: string, said: object): FastifyReply {
  reply.header('cache-control', 'no-store')
  return prefersHtml(request) ? reply.redirect(path, 303) : reply.send({ done: true, ...said })
}
