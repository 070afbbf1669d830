import type { FastifyInstance } from 'fastify'
import { AppError } from '../errors.ts'
import { prefersHtml } from '../parameters.ts'
import type { StatusOptions } from './index.ts'
import { eventIdsOf, signedIn } from './session.ts'
import { storyPage } from './views.story.ts'

const LISTED = 20

/** What this session's events have received: a list, and one of them with its story. */
export function deliveriesRoutes(app: FastifyInstance, o: StatusOptions): void {
  app.get('/deliveries', async (request, reply) => {
    const session = await signedIn(o.sessions, request)
    reply.header('cache-control', 'no-store')
    return { data: await o.deliveries.ofEvents(eventIdsOf(session), LISTED) }
  })

  app.get<{ Params: { id: string } }>('/deliveries/:id', async (request, reply) => {
    const session = await signedIn(o.sessions, request)
    const story = await o.deliveries.find(request.params.id, eventIdsOf(session))
    if (!story) throw new AppError('not_found')
    reply.header('cache-control', 'no-store')
    if (!prefersHtml(request)) return story
    return reply.type('text/html; charset=utf-8').send(storyPage(story, session).text)
  })
}
