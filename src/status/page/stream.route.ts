import type { FastifyInstance } from 'fastify'
import { createLive, everyTenSeconds, sendStream, soon } from '../../http/live.ts'
import { signedIn } from '../../oauth/sessions.ts'
import { look, type PageOptions } from './overview.ts'
import { renderParts } from './parts.ts'
import { readView } from './view.ts'

/** GET /deliveries/stream sends the changing parts of the page as server-sent events, until the session ends. */
export function streamRoute(app: FastifyInstance, o: PageOptions): void {
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
  // The streams close before the server waits for its answers: they would never end by themselves.
  app.addHook('preClose', async () => live.close())
  app.get('/deliveries/stream', async (request, reply) =>
    sendStream(live, await signedIn(sessions, request), 'view', request, reply),
  )
}
