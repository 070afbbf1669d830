import { type Html, html } from '../http/html.ts'
import { ago } from '../pages/layout.ts'
import { breakable } from '../pages/story.ts'
import { DELIVERY_STATES } from '../pages/words.ts'
import { type Filter, filterQuery, filterWords, STATES } from './filter.ts'
import type { Page, Row } from './queries.ts'

/** The members of `data` that say whom or what a delivery concerns, as ids: lists show no names. */
const ABOUT = ['participant_id', 'application_id', 'activity_id', 'wave_id', 'thread_id', 'location_id']
const ID = /^[A-Za-z0-9_-]{1,64}$/

/** With `tellsWhy` it shows the error of each delivery that failed. */
export function deliveriesTable(rows: readonly Row[], tellsWhy = true): Html {
  if (rows.length === 0) return html`<p class="inside quiet">None.</p>`
  return html`<table class="stack"><thead><tr><th scope="col">Delivery</th><th scope="col">About</th><th scope="col">State</th><th scope="col">Received</th></tr></thead>
<tbody>${rows.map(row => line(row, tellsWhy && errorOf(row)))}</tbody></table>`
}

const line = (row: Row, error: Html | false) => html`
<tr><td><a href="/operator/deliveries/${row.id}" id="delivery-${row.id}">${breakable(row.type)}<span class="unseen">, delivery ${row.id}</span></a><br><span class="quiet">${row.id}, ${row.provider}</span></td>
<td>${breakable(aboutOf(row))}<br><span class="quiet">${breakable(row.event_id ?? 'no event')}</span></td>
<td>${statePill(row)}${error}</td><td class="quiet">${ago(row.received_at)}</td></tr>`

/** The first line of the error of a delivery that failed. */
const errorOf = ({ state, last_error }: Row) =>
  (state === 'dead' || state === 'pending') &&
  last_error !== null &&
  html`<br><span class="quiet"><bdi>${last_error.split('\n')[0]?.slice(0, 100)}</bdi></span>`

function statePill(row: Row): Html {
  if (row.state === 'pending' && row.last_error !== null)
    return html`<span class="pill" data-state="failed">failed, again ${ago(row.next_at)}</span>`
  const of = row.duplicate_of !== null && ` of ${row.duplicate_of}`
  return html`<span class="pill" data-state="${row.state}">${DELIVERY_STATES[row.state]}${of}</span>`
}

function aboutOf({ body }: Row): string {
  try {
    const { data } = JSON.parse(Buffer.from(body ?? []).toString()) as { data?: Record<string, unknown> }
    const found = ABOUT.map(name => data?.[name]).find(id => typeof id === 'string' && ID.test(id))
    return typeof found === 'string' ? found : ''
  } catch {
    return ''
  }
}

export interface ListView {
  readonly filter: Filter
  readonly asked: URLSearchParams
  readonly page: Page
  readonly providers: readonly string[]
  /** The text that was searched for and not found. */
  readonly missing: string | undefined
}

export function listBody({ filter, asked, page, providers, missing }: ListView): Html {
  const { state: _, ...others } = filter
  const pill = (label: string, href: string, isCurrent: boolean) =>
    html`<a href="${href}"${isCurrent && html` aria-current="true"`}>${label}</a>`
  const value = (name: string) => asked.get(name) ?? ''
  const canReplay = filter.state === 'dead' || filter.state === 'ignored'
  return html`
<div class="top"><h1>Deliveries</h1>${canReplay && page.rows.length > 0 && html`<a class="button" href="/operator/replay?${filterQuery(filter)}">Replay all…</a>`}</div>
${missing !== undefined && html`<p class="error" role="status">Nothing is known as “<bdi>${missing}</bdi>”: search for the number of a delivery, a sender’s id of it, or an event.</p>`}
<form class="ask" action="/operator/deliveries" role="search"><label for="q">Any id</label>
<input class="text" id="q" name="q" placeholder="2093, a delivery id, evt_…" autocomplete="off" spellcheck="false"><button class="button second">Find</button></form>
<p class="filters" role="group" aria-label="State">${pill('all', `/operator/deliveries?${filterQuery(others)}`, !filter.state)}${STATES.map(
    state =>
      pill(
        DELIVERY_STATES[state],
        `/operator/deliveries?${filterQuery({ ...others, state })}`,
        state === filter.state,
      ),
  )}</p>
<details${Object.keys(others).length > 0 && html` open`}><summary>By sender, type, event and time</summary>
<form class="ask" action="/operator/deliveries">${filter.state && html`<input type="hidden" name="state" value="${filter.state}">`}
<label>Sender <select name="provider"><option value="">all</option>${providers.map(
    name => html`<option${name === filter.provider && html` selected`}>${name}</option>`,
  )}</select></label>
<label>Type <input class="text" name="type" value="${value('type')}" placeholder="application.approved"></label>
<label>Event <input class="text" name="event_id" value="${value('event_id')}" placeholder="evt_…"></label>
<label>Since <input class="text" name="since" value="${value('since')}" placeholder="2h, or 2026-11-30 02:50"></label>
<label>Until <input class="text" name="until" value="${value('until')}" placeholder="UTC"></label>
<button class="button second">Show</button></form></details>
<section class="card flush dense" aria-label="Deliveries: ${filterWords(filter)}">${deliveriesTable(page.rows)}</section>
${
  page.before !== undefined &&
  html`<p class="pages"><a href="/operator/deliveries?${filterQuery(filter, { before: String(page.before) })}">Older ones</a>
<span class="quiet">${page.rows.length === 0 ? `None back to delivery ${page.before}; the search goes on from there.` : `before delivery ${page.before}`}</span></p>`
}`
}
