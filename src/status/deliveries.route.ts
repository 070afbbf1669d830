import type { FastifyInstance } from 'fastify'
import { AppError } from '../http/errors.ts'
import { prefersHtml } from '../http/parameters.ts' // part: page
import { entitlement } from '../oauth/entitlement.ts'
import { signedIn } from '../oauth/sessions.ts'
import { inOrder, type StatusOptions } from './options.ts'

const LISTED = 20

/** The deliveries for the connections of this session: the list, and one delivery with its story. */
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
    // part: page {
    if (prefersHtml(request))
      return reply.type('text/html; charset=utf-8').send(o.page.story(story, session).text)
    // part: page }
    return story
  })
}
