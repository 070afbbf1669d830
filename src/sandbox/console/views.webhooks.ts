import { Html, html } from '../../http/html.ts'
import type { Rendered } from '../../http/live.ts'
import { findEvent, testEvents } from '../api/events.ts'
import { Problem } from '../api/problem.ts'
import type { Context } from '../context.ts'
import { findFault } from '../faults/fault-table.ts'
import { one } from '../fields.ts'
import type { Sender } from '../options.ts'
import { type Attempt, type Delivery, MOST_AT_ONCE } from '../webhooks/delivery.ts'
import { believable } from './send.ts'
import { breakable, button, clockTime, many } from './views.parts.ts'

const SHOWN = 100

/** The parts of the page of webhooks that change by themselves. */
export function webhooksParts({ deliveries }: Context): Rendered {
  const all = deliveries.list()
  const dead = all.filter(({ state }) => state === 'dead')
  return {
    dead: (dead.length > 0
      ? table('Dead letters', dead, 'dead-')
      : html`<p class="empty">None. A webhook that was not taken in eight attempts, over two minutes, ends here and can be sent again.</p>`
    ).text,
    log: (all.length > 0
      ? table('Delivery log', all.slice(0, SHOWN), '')
      : html`<p class="empty">Nothing was sent since the sandbox started. Send one above, or connect an event in your app: four follow by themselves.</p>`
    ).text,
  }
}

export function webhooksPage({ options: { senders, runtime } }: Context, parts: Rendered): Html {
  // The time makes each Refresh another address: a browser only scrolls to the fragment of the one that it shows.
  return html`
<h1>Webhooks</h1>
<section><h2 id="send">Send a webhook</h2>
${senders.map((sender, index) => sendForm(sender, index === 0))}
<p class="quiet">To deliver it late, twice, altered or wrongly signed, start a <a href="/faults#door-webhook">bad day</a> first.</p>
</section>
<section><h2 id="dead">Dead letters</h2>
${part(parts, 'dead')}
</section>
<section><div class="top"><h2 id="log">Delivery log</h2><span id="live" class="quiet"></span></div>
<p class="without-script"><a href="/webhooks?at=${runtime.now()}#log">Refresh</a></p>
${part(parts, 'log')}
</section>`
}

/** Sends at once what the sandbox makes up, or leads to the payload first. */
function sendForm({ provider: { name, types } }: Sender, hasEvents: boolean): Html {
  const events = testEvents().map(({ row }) => html`<option>${row.id}</option>`)
  return html`<form method="post" action="/console/webhooks" class="row send">
<input type="hidden" name="provider" value="${name}">
<strong>${name}</strong>
<label>Type <select name="type">${types.map(type => html`<option>${type}</option>`)}</select></label>
${hasEvents && html`<label>Event <select name="event_id">${events}</select></label>`}
<button class="primary" aria-label="Send: ${name}">Send</button>
<button formmethod="get" formaction="/webhooks/edit" aria-label="Edit payload first: ${name}">Edit payload first</button>
</form>`
}

/** A believable body to change. It is made from a copy of the state: only what is sent happens. */
export function editPage({ options, state }: Context, query: unknown): Html {
  const asked = one(query, 'provider')
  const sender = options.senders.find(({ provider }) => provider.name === asked) ?? options.senders[0]
  const type = one(query, 'type') ?? ''
  const event = findEvent(one(query, 'event_id') ?? '') ?? testEvents()[0]
  if (!sender || !event) throw new Problem('not_found')
  const { name, types } = sender.provider
  const { body } = believable({ options, state: structuredClone(state) }, sender, type, event)
  return html`
<h1>Send as ${name}</h1>
<form method="post" action="/console/webhooks" class="edit">
<input type="hidden" name="provider" value="${name}">
<input type="hidden" name="event_id" value="${event.row.id}">
<label>Type, for the header and the log <input name="type" value="${type}" required pattern="[a-z0-9_.]{1,100}" list="types"></label>
<datalist id="types">${types.map(known => html`<option value="${known}"></option>`)}</datalist>
<label>Body, sent and signed byte for byte <textarea name="body" rows="20" spellcheck="false">
${pretty(body)}</textarea></label>
<label>How many at once, each with ids of its own <input type="number" name="count" value="1" min="1" max="${MOST_AT_ONCE}"></label>
<p class="row"><button class="primary">Send</button> <a href="/webhooks">Back without sending</a></p>
<p class="quiet">It goes to <code>${sender.url}</code>. Your app goes by the type in the body, which is signed.</p>
</form>`
}

/** Indents JSON, and leaves any other text as it is. */
function pretty(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2)
  } catch {
    return body
  }
}

/** `prefix` stands before the rows' ids, since a dead letter is a row of both tables. */
function table(label: string, deliveries: readonly Delivery[], prefix: string): Html {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table class="stack">
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
<td><a href="/deliveries/${delivery_id}" id="open-${prefix}${delivery_id}">${breakable(type)}</a><br><span class="quiet">${provider}${event_id && html` <code>${breakable(event_id)}</code>`}</span></td>
<td><strong class="${state}">${state}</strong><br><span class="quiet">${many(attempts.length, 'attempt')}${answer}</span>
${faults.length > 0 && html`<br><span class="quiet">${faults.join(', ')}</span>`}
${state === 'dead' && resend(delivery)}</td></tr>`
}

const resend = ({ delivery_id, type }: Delivery) =>
  button(`/deliveries/${delivery_id}/resend`, 'Resend', type)

/** The story of one delivery: what was sent, what came back, and why it was not taken. */
export const deliveryPage = ({ delivery_id, type }: Delivery, parts: Rendered): Html => html`
<p class="back"><a href="/webhooks#log">All webhooks</a></p>
<div class="top"><h1>${type}</h1><span id="live" class="quiet"></span></div>
${part(parts, 'facts')}
<p class="without-script"><a href="/deliveries/${delivery_id}">Refresh</a></p>
<section><h2>Attempts</h2>
${part(parts, 'attempts')}</section>`

/** The parts of a delivery's page that change by themselves. */
export function deliveryParts(delivery: Delivery): Rendered {
  const { delivery_id, envelope_id, provider, event_id, state, created_at, attempts } = delivery
  const facts = html`<dl class="facts">
<div><dt>State</dt><dd><strong class="${state}">${state}</strong></dd></div>
<div><dt>Sender</dt><dd>${provider}</dd></div>
<div><dt>Sent first</dt><dd>${clockTime(created_at)}</dd></div>
<div><dt>Delivery id</dt><dd><code>${delivery_id}</code></dd></div>
${envelope_id && html`<div><dt>Id in the body</dt><dd><code>${envelope_id}</code></dd></div>`}
${event_id && html`<div><dt>Event</dt><dd><code>${event_id}</code></dd></div>`}
</dl>
<div class="row">${state !== 'pending' && resend(delivery)}</div>`
  const cards =
    attempts.length > 0
      ? html`${attempts.map((attempt, index) => attemptCard(attempt, index + 1))}`
      : html`<p class="empty">${state === 'pending' ? 'The first attempt is under way.' : 'None: it was never sent.'}</p>`
  return { facts: facts.text, attempts: cards.text }
}

const part = (parts: Rendered, name: string) =>
  html`<div id="part-${name}">${new Html(parts[name] ?? '')}</div>`

function attemptCard(
  { at, ms, status, error, fault, autopsy, request, answer }: Attempt,
  number: number,
): Html {
  const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`)
  const title = findFault(fault ?? '')?.title
  const block = (label: string, ...lines: readonly string[]) =>
    html`<pre tabindex="0" role="region" aria-label="${label} attempt ${number}">${lines.join('\n')}</pre>`
  return html`<article class="card">
<h3>Attempt ${number}: ${status ?? error}</h3>
<p class="quiet">${clockTime(at)}, ${ms} ms${title && !autopsy && html`. Bad day: ${title}.`}</p>
${autopsy && html`<p>${autopsy}</p>`}
<details><summary>Request</summary>
${block('Request of', `POST ${request.url}`, ...headers, '', request.body)}</details>
<details><summary>Answer</summary>
${answer === null ? html`<p>None: ${error}.</p>` : block('Answer to', `${status}`, '', answer)}</details>
</article>`
}
