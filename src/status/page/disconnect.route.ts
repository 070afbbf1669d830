import type { FastifyInstance } from 'fastify'
import { type Html, html } from '../../http/html.ts'
import { singleParameters } from '../../http/parameters.ts'
import type { Connection } from '../../oauth/connections.ts'
import { type Session, signedIn } from '../../oauth/sessions.ts'
import { formToken, layout } from '../../pages/layout.ts'
import { own } from '../actions.route.ts'
import type { PageOptions } from './overview.ts'

/** GET /disconnect is the question before POST /disconnect. */
export function disconnectRoute(app: FastifyInstance, o: PageOptions): void {
  app.get('/disconnect', async (request, reply) => {
    const session = await signedIn(o.sessions, request)
    const query = singleParameters(request) ?? new URLSearchParams()
    const { connection, grant } = await own(o, session, query.get('event_id'), query.get('organization_id'))
    const page = disconnectPage(o.appName, connection, grant && o.titles.of(grant), session)
    return reply.type('text/html; charset=utf-8').send(page.text)
  })
}

/** Asks for confirmation, and says what a disconnect does and does not do. */
function disconnectPage(appName: string, c: Connection, title: string | undefined, session: Session): Html {
  return layout({
    appName,
    title: 'Disconnect',
    session,
    body: html`
<h1>Disconnect <bdi>${title ?? c.eventId}</bdi>?</h1>
<p>This app then destroys its tokens for ${c.eventId} (<bdi>${c.organizationId}</bdi>) and can read nothing of it any more. It takes
a new consent to connect it again.</p>
<ul>
<li><strong>At Revento the permission stays.</strong> Its documentation names no call by which an app gives a
permission back. To end it there too, remove the app from your event at Revento.</li>
<li>As long as Revento sends webhooks for this event, they are still taken in. Those that need the connection fail.</li>
<li>What has been stored so far stays, until Revento asks for its deletion.</li>
</ul>
<form method="post" action="/disconnect">${formToken(session)}
<input type="hidden" name="event_id" value="${c.eventId}">
<input type="hidden" name="organization_id" value="${c.organizationId}">
<p><button class="button danger">Disconnect</button> <a class="cancel" href="/">Keep it</a></p>
</form>`,
  })
}
