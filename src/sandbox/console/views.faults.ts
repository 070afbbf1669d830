import { type Html, html } from '../../http/html.ts'
import type { Context } from '../context.ts'
import type { Door } from '../faults/fault-table.ts'
import { BURST_SIZE, type Faults } from '../faults/faults.ts'
import { button, many, termText } from './views.parts.ts'

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

export function faultsPage({ faults, options: { runtime } }: Context): Html {
  const rows = faults.list()
  const cards = (door: Door) =>
    rows.filter(({ fault }) => fault.door === door).map(row => card(row, runtime.now()))
  return html`
<h1>Bad days</h1>
<p>Start one, use your app, and look at what it makes of it. Each lasts for a number of requests or seconds; of several
at the same door the one that was started first strikes.</p>
<p class="filters" role="group" aria-label="Doors">${DOORS.map(([door, title]) => html`<a href="#door-${door}">${title}</a>`)}</p>
${DOORS.map(
  ([door, title, hint]) => html`<section><h2 id="door-${door}">${title}</h2><p class="quiet">${hint}</p>
<div class="grid">${cards(door)}</div></section>`,
)}`
}

function card({ fault: { name, title, what, good, effect }, term, struck }: Row, now: number): Html {
  const size =
    effect.burst &&
    html`<label>of <input type="number" name="size" value="${BURST_SIZE}" min="2" max="200" aria-label="How many at once"></label>`
  const active =
    term &&
    html`<span><strong>Active</strong>, ${termText(term, now)}.</span> ${button('/faults/clear', 'End', title, { name })}`
  const times = struck > 0 && html`<span class="quiet">Struck ${many(struck, 'time')}.</span>`
  return html`<article class="card fault${term && ' active'}" id="${name}">
<h3>${title}</h3>
<p>${what}</p>
<p class="quiet"><strong>A good app:</strong> ${good}</p>
<div class="term"><form method="post" action="/console/faults" class="row">
<input type="hidden" name="name" value="${name}">
<input type="number" name="amount" value="1" min="1" max="1000" required aria-label="How many: ${title}">
<select name="unit" aria-label="Unit: ${title}"><option value="count">request(s)</option><option value="seconds">second(s)</option></select>
${size}
<button aria-label="Start: ${title}">Start</button>
</form>
${(active || times) && html`<div class="row struck">${active}${times}</div>`}
</div></article>`
}
