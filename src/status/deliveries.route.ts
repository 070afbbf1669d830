import type { FastifyInstance } from 'fastify'
import { AppError } from '../http/errors.ts'
import { createLive, everyTenSeconds, sendStream, soon } from '../http/live.ts'
import { prefersHtml } from '../http/parameters.ts'
import { entitlement } from '../oauth/entitlement.ts'
import { signedIn } from '../oauth/sessions.ts'
import { inOrder, look, type StatusOptions } from './overview.ts'
import { renderParts } from './parts.ts'
import { readView } from './view.ts'
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

/** GET /deliveries/stream sends the changing parts of the page as server-sent events, until the session ends. */
export function streamRoute(app: FastifyInstance, o: StatusOptions): void {
  const { sessions, titles, requestedScopes, runtime } = o
  const trouble = everyTenSeconds(o.trouble, runtime)
  const live = createLive(
    {
      alive: sessions.alive,
      async look() {
        const read = look(o, await soon(runtime, trouble()))
        return async (connections, { session, selected }) =>
          renderParts({
            ...(await read(connections, readView(new URLSearchParams(selected)))),
            ...{ session, now: runtime.now(), titles, requestedScopes },
          })
      },
      log: app.log,
    },
    runtime,
  )
  // Closed before the server waits for its answers: streams would never end by themselves.
  app.addHook('preClose', async () => live.close())
  app.get('/deliveries/stream', async (request, reply) =>
    sendStream(live, await signedIn(sessions, request), 'view', request, reply),
  )
}
