import { type Html, html } from '../html.ts'
import { CHOICES } from './choices.ts'
import type { Delivery } from './deliveries.ts'
import { testEvents } from './events.ts'
import type { Installation } from './state.ts'

const SHOWN = 50

export function homePage(
  installations: Installation[],
  deliveries: Delivery[],
  appUrl: string,
  done: string | undefined,
): Html {
  return html`
<h1>Sandbox: a pretend Revento</h1>
${done && html`<p role="status"><strong>${done}</strong></p>`}
<p>It plays Revento for the app beside it: consent page, tokens, API and webhooks. Start the connection in <a href="${appUrl}">your app</a>.</p>
<h2>Test events</h2>
<ul>${testEvents().map(({ row }) => html`<li>${row.title} <code>${row.id}</code></li>`)}</ul>
<h2>Installations</h2>
${installations.length ? installations.toReversed().map(installation) : html`<p>None yet.</p>`}
<h2>Webhook deliveries</h2>
${deliveries.length ? deliveryTable(deliveries.slice(0, SHOWN)) : html`<p>None yet.</p>`}
<h2>What this sandbox chose</h2>
<p>Revento's guide leaves these open, so the real platform may differ. Do not build on them.</p>
<ul>${CHOICES.map(text => html`<li>${text}</li>`)}</ul>`
}

function installation({ event_id, organization_id, scope, ended }: Installation): Html {
  return html`<section class="card">
<p><code>${event_id}</code> for <code>${organization_id}</code>: <strong>${ended ?? 'active'}</strong><br>
<span class="quiet">${scope}</span></p>
${
  ended === null &&
  html`<div class="row">
${button('expire-access-tokens', 'Expire access tokens', event_id)}
${button('revoke-refresh-tokens', 'Revoke refresh tokens', event_id)}
${button('revoke', 'Revoke installation', event_id)}
</div>`
}
</section>`
}

function button(control: string, label: string, eventId: string): Html {
  return html`<form method="post" action="/console/${control}">
<input type="hidden" name="event_id" value="${eventId}">
<button aria-label="${label} of ${eventId}">${label}</button>
</form>`
}

function deliveryTable(deliveries: Delivery[]): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Webhook deliveries"><table>
<thead><tr><th scope="col">Time</th><th scope="col">Type</th><th scope="col">State</th>
<th scope="col">Attempts</th><th scope="col">Last answer</th><th scope="col">Delivery id</th></tr></thead>
<tbody>${deliveries.map(deliveryRow)}</tbody>
</table></div>`
}

function deliveryRow({ created_at, type, state, attempts, delivery_id }: Delivery): Html {
  const last = attempts.at(-1)
  return html`<tr><td><time datetime="${created_at}">${created_at.slice(11, 19)}</time></td><td>${type}</td>
<td>${state}</td><td>${attempts.length}</td><td>${last?.status ?? last?.error}</td><td><code>${delivery_id}</code></td></tr>`
}
