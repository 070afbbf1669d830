import type { FastifyInstance, FastifyRequest } from 'fastify'
import { errorBody } from '../http/errors.ts'
import { singleParameters } from '../http/parameters.ts'
import { signedIn } from '../oauth/sessions.ts'
import { createLive } from './live.ts'
import type { StatusOptions } from './options.ts'
import { PART_NAMES } from './parts.ts'

const BUSY_S = 10

/** GET /deliveries/stream: the changing parts of the page as server-sent events, until the session ends. */
export function streamRoute(app: FastifyInstance, o: StatusOptions): void {
  const live = createLive({ ...o, log: app.log }, o.runtime)
  // Before the server waits for its answers: these would never end by themselves.
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
    // Proxies would collect it (x-accel-buffering), and a kept connection would hold up the closing of the server.
    return reply
      .type('text/event-stream')
      .headers({ 'x-accel-buffering': 'no', connection: 'close' })
      .send(stream)
  })
}

/** What the page at the other end shows already: a browser that comes back says so in Last-Event-ID. */
function shown(request: FastifyRequest): { selected: string; marks: string[] } {
  const query = singleParameters(request) ?? new URLSearchParams()
  const last = request.headers['last-event-id']
  const marks = (typeof last === 'string' ? last : (query.get('have') ?? '')).split('.')
  return { selected: query.get('event_id') ?? '', marks: marks.slice(0, PART_NAMES.length) }
}
