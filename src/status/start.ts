import cookie from '@fastify/cookie'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { type Html, html } from '../http/html.ts'
import { sendToOwnHost } from '../http/own-host.ts'
import { type Entitlement, entitlement } from '../oauth/entitlement.ts'
import type { Session } from '../oauth/sessions.ts'
import { eventForm, layout, sandboxNote } from '../pages/layout.ts'
import { STATES } from '../pages/words.ts'
import type { StatusOptions } from './options.ts'

/** GET / shows how to connect, and a browser that has connected its page. A builder's own route for it comes first. */
export const start: FastifyPluginAsync<StatusOptions> = async (app, o) => {
  if (app.hasRoute({ method: 'GET', url: '/' })) return
  await app.register(cookie)
  app.get('/', { onRequest: sendToOwnHost(o) }, async (request, reply) =>
    reply.type('text/html; charset=utf-8').send((await startPage(o, request)).text),
  )
}

async function startPage(o: StatusOptions, request: FastifyRequest): Promise<Html> {
  const session = await o.sessions.read(request)
  const overview = session && (await o.page.overview(request, session)) // part: page
  if (overview) return overview // part: page
  const { connections } = await entitlement(o.connections.find, session?.connections ?? [])
  return welcomePage(o, connections, session)
}

/** The page says how to connect. Without the organizer's page it also lists the connections of this browser. */
export function welcomePage(
  o: Pick<StatusOptions, 'appName' | 'sandbox' | 'defaultEventId'>,
  connections: Entitlement['connections'],
  session: Session | undefined,
): Html {
  return layout({
    appName: o.appName,
    title: 'Connect an event',
    session: connections.length > 0 ? session : undefined,
    body: html`
<h1>Connect a Revento event</h1>
${connections.map(c => html`<p class="lead"><bdi>${c.eventId}</bdi>: ${STATES[c.state]}.</p>`)}
<p>This app keeps a connection to one event of yours: it lists the participants and takes in what happens there,
as it happens. You decide on Revento's own page what it may see, and you can end it there at any time.</p>
${o.defaultEventId !== undefined && html`<p><a class="button" href="/connect">Connect ${o.defaultEventId}</a></p>`}
${eventForm(o.defaultEventId === undefined ? 'Event id' : 'Another event id')}
${sandboxNote(o.sandbox)}`,
  })
}
