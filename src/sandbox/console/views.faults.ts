import { type Html, html } from '../../http/html.ts'
import type { Door } from '../faults/fault-table.ts'
import { BURST_SIZE, type Faults } from '../faults/faults.ts'
import { button, many } from './views.parts.ts'

type Row = ReturnType<Faults['list']>[number]

const DOORS: readonly [Door, string, string][] = [
  ['token', 'Token endpoint', 'Strikes when your app exchanges a code or refreshes.'],
  ['api', 'API', 'Strikes when your app calls the API, for instance when its page is loaded.'],
  [
    'webhook',
    'Webhooks',
    'Strikes attempts to deliver. A refused one is repeated, in order, after a second. A sender that signs no timestamp cannot be late or early.',
  ],
]

export function faultsPage(rows: Row[]): Html {
  return html`
<h1>Bad days</h1>
<p>Start one, use your app, and look at what it makes of it. Each lasts for a number of requests or seconds; of several
at the same door the one that was started first strikes.</p>
${DOORS.map(([door, title, hint]) => {
  const here = rows.filter(({ fault }) => fault.door === door)
  return html`<section><h2 id="door-${door}">${title}</h2><p class="quiet">${hint}</p>
<div class="grid">${here.map(faultCard)}</div></section>`
})}`
}

function faultCard({ fault, term, struck }: Row): Html {
  const { name, title, what, good } = fault
  const times = struck > 0 && html`<span class="quiet">Struck ${many(struck, 'time')}.</span>`
  return html`<article class="card fault${term && ' active'}" id="${name}">
<h3>${title}</h3>
<p>${what}</p>
<p class="quiet"><strong>A good app:</strong> ${good}</p>
<div class="term">${startForm(fault)}
${(term || times) && html`<div class="row struck">${term && html`<span><strong>Active</strong>, ${left(term)}.</span> ${button({ action: '/faults/clear', label: 'End', about: title, fields: { name } })}`}${times}</div>`}
</div></article>`
}

const left = ({ left, until }: NonNullable<Row['term']>) =>
  left === null ? `until ${new Date(until ?? 0).toISOString().slice(11, 19)} UTC` : `${left} left`

function startForm({ name, title, effect }: Row['fault']): Html {
  const size =
    effect.burst &&
    html`<label>of <input type="number" name="size" value="${BURST_SIZE}" min="2" max="200" aria-label="How many at once"></label>`
  return html`<form method="post" action="/console/faults" class="row">
<input type="hidden" name="name" value="${name}">
<input type="number" name="amount" value="1" min="1" max="1000" required aria-label="How many: ${title}">
<select name="unit" aria-label="Unit: ${title}"><option value="count">request(s)</option><option value="seconds">second(s)</option></select>
${size}
<button aria-label="Start: ${title}">Start</button>
</form>`
}
