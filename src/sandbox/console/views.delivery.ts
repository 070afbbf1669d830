import { type Html, html } from '../../http/html.ts'
import { findFault } from '../faults/fault-table.ts'
import type { Attempt, Delivery } from '../webhooks/delivery.ts'
import { button, clockTime } from './views.parts.ts'

/** The story of one delivery: what was sent, what came back, and why it was not taken. */
export function deliveryPage(delivery: Delivery): Html {
  const { delivery_id, envelope_id, provider, type, event_id, state, created_at, attempts } = delivery
  return html`
<p class="back"><a href="/webhooks#log">All webhooks</a></p>
<h1>${type}</h1>
<dl class="facts">
<div><dt>State</dt><dd><strong class="${state}">${state}</strong></dd></div>
<div><dt>Sender</dt><dd>${provider}</dd></div>
<div><dt>Sent first</dt><dd>${clockTime(created_at)}</dd></div>
<div><dt>Delivery id</dt><dd><code>${delivery_id}</code></dd></div>
${envelope_id && html`<div><dt>Id in the body</dt><dd><code>${envelope_id}</code></dd></div>`}
${event_id && html`<div><dt>Event</dt><dd><code>${event_id}</code></dd></div>`}
</dl>
<div class="row">
${state !== 'pending' && button({ action: `/deliveries/${delivery_id}/resend`, label: 'Resend', about: type })}
<a href="/deliveries/${delivery_id}">Refresh</a>
</div>
<h2>Attempts</h2>
${
  attempts.length
    ? attempts.map((attempt, index) => attemptCard(attempt, index + 1))
    : html`<p class="empty">The first attempt is under way. Refresh to see its answer.</p>`
}`
}

function attemptCard(
  { at, ms, status, error, fault, autopsy, request, answer }: Attempt,
  number: number,
): Html {
  const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`)
  const title = findFault(fault ?? '')?.title
  return html`<article class="card">
<h3>Attempt ${number}: ${status ?? error}</h3>
<p class="quiet">${clockTime(at)}, ${ms} ms${title && !autopsy && html`. Bad day: ${title}.`}</p>
${autopsy && html`<p>${autopsy}</p>`}
<details><summary>Request</summary>
${block(`Request of attempt ${number}`, [`POST ${request.url}`, ...headers, '', request.body].join('\n'))}</details>
<details><summary>Answer</summary>
${answer === null ? html`<p>None: ${error}.</p>` : block(`Answer to attempt ${number}`, `${status}\n\n${answer}`)}</details>
</article>`
}

const block = (label: string, text: string) =>
  html`<pre tabindex="0" role="region" aria-label="${label}">${text}</pre>`
