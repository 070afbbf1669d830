import { type Html, html } from '../../http/html.ts'
import { testEvents } from '../api/events.ts'
import { findFault } from '../faults/fault-table.ts'
import type { Sender } from '../options.ts'
import type { Delivery } from '../webhooks/delivery.ts'
import { breakable, button, clockTime, many } from './views.parts.ts'

const SHOWN = 100

/** `now` makes each Refresh another address: a browser that has the same one with a fragment only scrolls. */
export function webhooksPage(senders: readonly Sender[], deliveries: readonly Delivery[], now: number): Html {
  const dead = deliveries.filter(({ state }) => state === 'dead')
  return html`
<h1>Webhooks</h1>
<section><h2 id="send">Send a webhook</h2>
${senders.map((sender, index) => sendForm(sender, index === 0))}
<p class="quiet">To deliver it late, twice, altered or wrongly signed, start a <a href="/faults#door-webhook">bad day</a> first.</p>
</section>
<section><h2 id="dead">Dead letters</h2>
${
  dead.length
    ? table('Dead letters', dead, 'dead-')
    : html`<p class="empty">None. A webhook that was not taken in eight attempts, over two minutes, ends here and can be sent again.</p>`
}
</section>
<section><h2 id="log">Delivery log</h2>
${
  deliveries.length
    ? html`<p><a href="/webhooks?at=${now}#log">Refresh</a></p>${table('Delivery log', deliveries.slice(0, SHOWN), '')}`
    : html`<p class="empty">Nothing was sent since the sandbox started. Send one above, or connect an event in your app: four follow by themselves.</p>`
}
</section>`
}

/** Sends at once what the sandbox makes up, or leads to the payload first. */
function sendForm(sender: Sender, hasEvents: boolean): Html {
  const { name } = sender.provider
  const types = sender.provider.types.map(type => html`<option>${type}</option>`)
  const events = testEvents().map(({ row }) => html`<option>${row.id}</option>`)
  return html`<form method="post" action="/console/webhooks" class="row send">
<input type="hidden" name="provider" value="${name}">
<strong>${name}</strong>
<label>Type <select name="type">${types}</select></label>
${hasEvents && html`<label>Event <select name="event_id">${events}</select></label>`}
<button class="primary" aria-label="Send: ${name}">Send</button>
<button formmethod="get" formaction="/webhooks/edit" aria-label="Edit payload first: ${name}">Edit payload first</button>
</form>`
}

interface Editable {
  sender: Sender
  type: string
  eventId: string
  body: string
}

export function editPage({ sender, type, eventId, body }: Editable): Html {
  const { name } = sender.provider
  return html`
<h1>Send as ${name}</h1>
<form method="post" action="/console/webhooks" class="edit">
<input type="hidden" name="provider" value="${name}">
<input type="hidden" name="event_id" value="${eventId}">
<label>Type, for the header and the log <input name="type" value="${type}" required pattern="[a-z0-9_.]{1,100}" list="types"></label>
<datalist id="types">${sender.provider.types.map(known => html`<option value="${known}"></option>`)}</datalist>
<label>Body, sent and signed byte for byte <textarea name="body" rows="20" spellcheck="false">
${pretty(body)}</textarea></label>
<label>How many at once, each with ids of its own <input type="number" name="count" value="1" min="1" max="200"></label>
<p class="row"><button class="primary">Send</button> <a href="/webhooks">Back without sending</a></p>
<p class="quiet">It goes to <code>${sender.url}</code>. Your app goes by the type in the body, which is signed.</p>
</form>`
}

/** Not every sender sends JSON. */
function pretty(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2)
  } catch {
    return body
  }
}

/** `prefix` of the rows' ids: a dead letter stands in both tables. */
function table(label: string, deliveries: readonly Delivery[], prefix: string): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table>
<thead><tr><th scope="col">Time</th><th scope="col">Webhook</th><th scope="col">Result</th></tr></thead>
<tbody>${deliveries.map(delivery => row(delivery, prefix))}</tbody>
</table></div>`
}

function row(delivery: Delivery, prefix: string): Html {
  const { delivery_id, created_at, provider, type, event_id, state, attempts } = delivery
  const last = attempts.at(-1)
  const faults = [...new Set(attempts.flatMap(({ fault }) => findFault(fault ?? '')?.title ?? []))]
  const answer = last && `, ${last.status ?? last.error}`
  return html`<tr id="${prefix}${delivery_id}"><td>${clockTime(created_at)}</td>
<td><a href="/deliveries/${delivery_id}">${breakable(type)}</a><br><span class="quiet">${provider}${event_id && html` <code>${breakable(event_id)}</code>`}</span></td>
<td><strong class="${state}">${state}</strong><br><span class="quiet">${many(attempts.length, 'attempt')}${answer}</span>
${faults.length > 0 && html`<br><span class="quiet">${faults.join(', ')}</span>`}
${state === 'dead' && button({ action: `/deliveries/${delivery_id}/resend`, label: 'Resend', about: type })}</td></tr>`
}
