import { type Html, html } from '../../http/html.ts'
import type { Session } from '../../oauth/sessions.ts'
import { ago, formToken } from '../../pages/layout.ts'
import { breakable, took } from '../../pages/story.ts'
import { DELIVERY_STATES } from '../../pages/words.ts'
import type { DeliveryView } from '../../webhooks/inbox/deliveries.ts'
import type { Parts } from './overview.ts'
import { connectHref } from './views.connections.ts'

const LISTED = 5

/** The deliveries that go on only after the organizer has done something. */
export function stuck({ dead, parked, session }: Parts): Html | false {
  if (dead.length + parked.length === 0) return false
  return html`
<section aria-labelledby="stuck-title">
<h2 id="stuck-title">Waiting for you</h2>
${parked.length > 0 && waiting(parked)}
${
  dead.length > 0 &&
  html`<p>Given up after failing again and again: ${many(dead)}. Replay what should run, once the cause is mended.</p>
${list(dead, d => replayForm(d, session, 'page'))}`
}
</section>`
}

function waiting(parked: readonly DeliveryView[]): Html {
  const events = [...new Set(parked.map(d => d.event_id ?? ''))]
  return html`<p>Waiting for you to reconnect ${events.map(
    (event, n) => html`${n > 0 && ', '}<a href="${connectHref(event)}">${event}</a>`,
  )}: ${many(parked)}. ${parked.length === 1 ? 'It goes on by itself' : 'They go on by themselves'} then.</p>
${list(parked, () => false)}`
}

const list = (deliveries: readonly DeliveryView[], action: (d: DeliveryView) => Html | false) => html`
<ul class="rows">${deliveries.slice(0, LISTED).map(
  d => html`
<li class="row"><div><a href="/deliveries/${d.id}" id="stuck-${d.id}">${breakable(d.type)}</a> <span class="quiet">${ago(Date.parse(d.received_at))}</span>
${d.last_error !== null && html`<br><span class="quiet"><bdi>${d.last_error}</bdi></span>`}</div>${action(d)}</li>`,
)}</ul>
${deliveries.length > LISTED && html`<p class="quiet">These are the newest ${LISTED}. The operator’s list has all of them.</p>`}`

/** The list has a hundred deliveries at most. */
const many = ({ length }: readonly DeliveryView[]) =>
  length === 1 ? '1 delivery' : `${length >= 100 ? '100 or more' : length} deliveries`

/** `from` is the page to which the browser returns. */
export const replayForm = (
  d: DeliveryView,
  session: Pick<Session, 'formToken'>,
  from: 'page' | 'story',
) => html`
<form method="post" action="/deliveries/${d.id}/replay">${formToken(session)}<input type="hidden" name="from" value="${from}">
<button class="button small" id="replay-${d.id}">Replay<span class="unseen"> delivery ${d.id}</span></button></form>`

export function deliveriesTable({ deliveries, connections }: Parts): Html {
  const several = connections.length > 1
  return html`
<section class="card flush" aria-labelledby="deliveries-title">
<header><h2 id="deliveries-title">What came in</h2></header>
${
  deliveries.length === 0
    ? html`<p class="inside quiet">None yet. They appear here as they come in; if none does, check the webhook URL at Revento.</p>`
    : html`<table class="stack">
<thead><tr><th scope="col">Type</th><th scope="col">State</th>${several && html`<th scope="col">Event</th>`}
<th scope="col">Took</th><th scope="col">Received</th></tr></thead>
<tbody>${deliveries.map(d => row(d, several))}</tbody>
</table>`
}
</section>`
}

const row = (d: DeliveryView, several: boolean) => html`
<tr data-state="${d.state}"><td><a href="/deliveries/${d.id}" id="delivery-${d.id}">${breakable(d.type)}<span class="unseen">, delivery ${d.id}</span></a>${why(d)}</td>
<td>${stateOf(d)}</td>${several && html`<td>${breakable(d.event_id ?? '')}</td>`}
<td class="quiet">${[took(d), d.attempts > 1 && `${d.attempts} attempts`].filter(part => part).join(', ')}</td><td class="quiet">${ago(Date.parse(d.received_at))}</td></tr>`

/** A delivery that failed and waits for its next run is shown differently from one that waits for its first. */
export function stateOf(d: DeliveryView): Html {
  const failed = d.state === 'pending' && d.last_error !== null
  const original = d.duplicate_of && html` of <a href="/deliveries/${d.duplicate_of}">${d.duplicate_of}</a>`
  const state = failed ? 'failed, runs again' : DELIVERY_STATES[d.state]
  return html`<span class="pill" data-state="${failed ? 'failed' : d.state}">${state}</span>${original}`
}

/** The last error of a delivery that failed. */
export const why = (d: DeliveryView): Html | false =>
  (d.state === 'pending' || d.state === 'dead') &&
  d.last_error !== null &&
  html`<br><span class="quiet"><bdi>${d.last_error}</bdi></span>`
