import type { FastifyInstance, FastifyRequest } from 'fastify'
import { AppError, errorBody } from '../http/errors.ts'
import { prefersHtml, singleParameters } from '../http/parameters.ts'
import { entitlement } from '../oauth/entitlement.ts'
import { signedIn } from '../oauth/sessions.ts'
import { createLive } from './live.ts'
import { inOrder, type StatusOptions } from './overview.ts'
import { PART_NAMES } from './parts.ts'
import { storyPage } from './views.story.ts'

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
    if (!prefersHtml(request)) return story
    return reply.type('text/html; charset=utf-8').send(storyPage(story, session, o.appName).text)
  })
}

const BUSY_S = 10

/** GET /deliveries/stream sends the changing parts of the page as server-sent events, until the session ends. */
export function streamRoute(app: FastifyInstance, o: StatusOptions): void {
  const live = createLive({ ...o, log: app.log }, o.runtime)
  // Closed before the server waits for its answers: streams would never end by themselves.
  app.addHook('preClose', async () => live.close())
  app.get('/deliveries/stream', async (request, reply) => {
    const session = await signedIn(o.sessions, request)
    const stream = live.listen({ session, ...shown(request) })
    reply.header('cache-control', 'no-store')
    if (!stream)
      return reply
        .code(503)
        .header('retry-after', String(BUSY_S))
        .send(errorBody('too_many_streams', request.id))
    // Proxies would buffer the stream without x-accel-buffering, and a kept connection would delay the server's end.
    return reply
      .type('text/event-stream')
      .headers({ 'x-accel-buffering': 'no', connection: 'close' })
      .send(stream)
  })
}

/** What the browser's page shows already; a browser that reconnects says so in Last-Event-ID. */
function shown(request: FastifyRequest): { selected: string; marks: string[] } {
  const query = singleParameters(request) ?? new URLSearchParams()
  const last = request.headers['last-event-id']
  const marks = (typeof last === 'string' ? last : (query.get('have') ?? '')).split('.')
  return { selected: query.get('event_id') ?? '', marks: marks.slice(0, PART_NAMES.length) }
}
