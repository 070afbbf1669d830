import { type Html, html } from '../http/html.ts'
import type { Session } from '../oauth/sessions.ts'
import type { DeliveryRun, DeliveryStory } from '../webhooks/inbox/deliveries.ts'
import { connectLink, duration, exactTime, layout } from './layout.ts'
import { breakable, replayForm, took } from './views.deliveries.ts'
import { DELIVERY_STATES, OUTCOMES } from './words.ts'

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

/** `between` are further steps, by their time in ms since 1970. */
export function storySteps(d: DeliveryStory, between: readonly { at: number; step: Html }[] = []): Html {
  const runs = d.runs.map(r => ({ at: Date.parse(r.started_at), step: run(r) }))
  const steps = [...runs, ...between].toSorted((a, b) => a.at - b.at)
  return html`<ol class="story">
<li class="step"><p><strong>Received</strong>, its signature verified, stored, and then acknowledged.</p><p class="quiet">${exactTime(Date.parse(d.received_at))}</p></li>
${steps.map(({ step }) => step)}
${ending(d)}
</ol>`
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

function run(r: DeliveryRun): Html {
  const ms = r.ended_at === null ? undefined : Date.parse(r.ended_at) - Date.parse(r.started_at)
  return html`
<li class="step" data-outcome="${r.outcome}"><p><strong>Attempt ${r.attempt}</strong>${ms !== undefined && `, ${duration(ms)}`}: ${OUTCOMES[r.outcome]}.</p>
<p class="quiet">${exactTime(Date.parse(r.started_at))}</p>
${r.error !== null && error(r.error)}
${r.calls.length > 0 && html`<ul>${r.calls.map(call)}</ul>`}
</li>`
}

/** In development the lines of a stack follow the first line. */
function error(text: string): Html {
  const [line = '', ...stack] = text.split('\n')
  return html`<p class="error"><bdi>${line}</bdi></p>${stack.length > 0 && html`<pre><bdi>${stack.join('\n')}</bdi></pre>`}`
}

const call = (c: DeliveryRun['calls'][number]) => html`
<li><code><bdi>${c.what}</bdi></code>${c.what.startsWith('once ') ? ':' : ' answered'} <code><bdi>${c.result}</bdi></code> in ${duration(c.ms)}
${c.request_id !== undefined && html`<br><span class="quiet">request ${c.request_id}</span>`}</li>`

/** The last step of the story, where the runs do not say it themselves. */
function ending(d: DeliveryStory): Html | false {
  const at = d.finished_at !== null && html`<p class="quiet">${exactTime(Date.parse(d.finished_at))}</p>`
  if (d.state === 'running')
    return html`<li class="step"><p><strong>Being handled</strong> now, attempt ${d.attempts}.</p></li>`
  if (d.state === 'duplicate')
    return html`<li class="step"><p><strong>Found to be a repeat.</strong></p>${at}</li>`
  if (d.state === 'ignored')
    return html`<li class="step"><p><strong>No handler</strong> ran for it; it stays stored.</p>${at}</li>`
  if (d.state === 'dead' && d.runs.at(-1)?.outcome !== 'dead')
    return html`<li class="step"><p><strong>Given up</strong>: <bdi>${d.last_error}</bdi>.</p>${at}</li>`
  return false
}
