import { type Html, html } from '../../http/html.ts'
import type { Session } from '../../oauth/sessions.ts'
import { exactTime, layout } from '../../pages/layout.ts'
import { breakable, storySteps, took } from '../../pages/story.ts'
import { DELIVERY_STATES } from '../../pages/words.ts'
import type { DeliveryStory } from '../../webhooks/inbox/deliveries.ts'
import { connectLink } from './views.connections.ts'
import { replayForm } from './views.deliveries.ts'

/** The page of one delivery, from its arrival to its end. */
export function storyPage(d: DeliveryStory, session: Session, appName: string): Html {
  return layout({
    appName,
    title: `Delivery ${d.id}`,
    session,
    body: html`
<p><a href="/#deliveries-title">All deliveries</a></p>
<h1>${breakable(d.type)}</h1>
<article class="card" data-state="${d.state}">
<p class="state">Delivery ${d.id}: ${d.state === 'pending' && d.last_error !== null ? 'failed, runs again' : DELIVERY_STATES[d.state]}</p>
${next(d, session)}
<dl>
<div><dt>Sender</dt><dd>${d.provider}</dd></div>
<div><dt>Event</dt><dd>${d.event_id ?? 'none'}</dd></div>
<div><dt>Organization</dt><dd><bdi>${d.organization_id ?? 'none'}</bdi></dd></div>
<div><dt>Delivery id</dt><dd><bdi>${d.delivery_id ?? 'none was sent'}</bdi></dd></div>
<div><dt>Signed id</dt><dd><bdi>${d.envelope_id}</bdi></dd></div>
<div><dt>Attempts</dt><dd>${d.attempts}</dd></div>
${d.finished_at !== null && html`<div><dt>Took in all</dt><dd>${took(d)}</dd></div>`}
</dl>
</article>
<section aria-labelledby="story-title">
<h2 id="story-title">What happened</h2>
${storySteps(d)}
<p><a href="/deliveries/${d.id}">Refresh</a></p>
</section>`,
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
