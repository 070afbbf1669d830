import { type Html, html } from '../../http/html.ts'
import type { Session } from '../../oauth/sessions.ts'
import { exactTime, layout } from '../../pages/layout.ts'
import { breakable, facts, storySteps } from '../../pages/story.ts'
import type { DeliveryStory } from '../../webhooks/inbox/deliveries.ts'
import { connectLink } from './views.connections.ts'
import { replayForm, stateOf, why } from './views.deliveries.ts'

export function storyPage(d: DeliveryStory, session: Session, appName: string): Html {
  return layout({
    appName,
    title: `Delivery ${d.id}`,
    session,
    body: html`
<p><a href="/#deliveries-title">All deliveries</a></p>
<h1>${breakable(d.type)} <span class="quiet">delivery ${d.id}</span></h1>
<p>${stateOf(d)}${why(d)}</p>
${next(d, session)}
<div class="split"><section class="card" aria-labelledby="story-title"><h2 id="story-title">What happened</h2>
${storySteps(d)}
<p><a href="/deliveries/${d.id}">Refresh</a></p></section>
${facts(d)}</div>`,
  })
}

/** What the reader can do, or has to wait for. */
function next(d: DeliveryStory, session: Session): Html | false {
  switch (d.state) {
    case 'dead':
    case 'ignored':
      return d.stored
        ? html`<p>${d.state === 'dead' ? 'When the cause is mended, let it run again.' : 'When there is a handler for its type, let it run again.'}</p>${replayForm(d, session, 'story')}`
        : html`<p>What it held has been erased: it cannot run again.</p>`
    case 'parked':
      return html`<p>It goes on by itself when the event is connected again.</p><p>${connectLink(d.event_id ?? '', 'Reconnect')}</p>`
    case 'duplicate':
      return html`<p>It repeats <a href="/deliveries/${d.duplicate_of}">delivery ${d.duplicate_of}</a>: it was acknowledged and not handled again.</p>`
    case 'pending':
      return d.next_at !== null && html`<p>It runs again at ${exactTime(Date.parse(d.next_at))}.</p>`
    default:
      return false
  }
}
