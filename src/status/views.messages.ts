import { type Html, html } from '../http/html.ts'
import type { Connection } from '../oauth/connections.ts'
import type { Session } from '../oauth/sessions.ts'
import { eventForm, formToken, layout, sandboxNote } from '../pages/layout.ts'

export function welcomePage(o: {
  appName: string
  sandbox: { url: string } | undefined
  defaultEventId: string | undefined
}): Html {
  return layout({
    appName: o.appName,
    title: 'Connect an event',
    body: html`
<h1>Connect a Revento event</h1>
<p>This app keeps a connection to one event of yours: it lists the participants and takes in what happens there,
as it happens. You decide on Revento's own page what it may see, and you can end it there at any time.</p>
${o.defaultEventId !== undefined && html`<p><a class="button" href="/connect">Connect ${o.defaultEventId}</a></p>`}
${eventForm(o.defaultEventId === undefined ? 'Event id' : 'Another event id')}
${sandboxNote(o.sandbox)}`,
  })
}

/** Asks for confirmation, and says what a disconnect does and does not do. */
export function disconnectPage(
  appName: string,
  c: Connection,
  title: string | undefined,
  session: Session,
): Html {
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
