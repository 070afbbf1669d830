import type { FastifyInstance } from 'fastify'
import { AppError } from '../http/errors.ts'
import { prefersHtml } from '../http/parameters.ts'
import { entitlement } from '../oauth/entitlement.ts'
import { signedIn } from '../oauth/sessions.ts'
import type { StatusOptions } from './options.ts'
import { inOrder } from './overview.ts'
import { storyPage } from './views.story.ts'

const LISTED = 20

/** What was received for the connections of this session: a list, and one of them with its story. */
export function deliveriesRoutes(app: FastifyInstance, o: StatusOptions): void {
  app.get('/deliveries', async (request, reply) => {
    const { connections } = await signedIn(o.sessions, request)
    const { grants } = await entitlement(o.connections.find, connections)
    const newest = await Promise.all(grants.map(grant => o.deliveries.newest(grant, LISTED)))
    reply.header('cache-control', 'no-store')
    return { data: inOrder(newest).slice(0, LISTED) }
  })

  app.get<{ Params: { id: string } }>('/deliveries/:id', async (request, reply) => {
    const session = await signedIn(o.sessions, request)
    const { grants } = await entitlement(o.connections.find, session.connections)
    const story = await o.deliveries.find(request.params.id, grants)
    if (!story) throw new AppError('not_found')
    reply.header('cache-control', 'no-store')
    if (!prefersHtml(request)) return story
    return reply.type('text/html; charset=utf-8').send(storyPage(story, session).text)
  })
}
