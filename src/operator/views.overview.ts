import { type Html, html } from '../http/html.ts'
import type { Rendered } from '../http/live.ts'
import { describeChange } from '../keys/verdict.ts'
import { ago, duration, time } from '../pages/layout.ts'
import { breakable } from '../pages/story.ts'
import { STATES } from '../pages/words.ts'
import { RATE } from '../revento/platform.ts'
import { barChart, type Series } from './chart.ts'
import { filterQuery } from './filter.ts'
import { type Failing, MOST, type Overview } from './overview.ts'
import { quantile, type Slot, sumOf } from './rollups.ts'
import { deliveriesTable } from './views.list.ts'
import { replayLine } from './views.replays.ts'

const SERIES: readonly Series[] = [
  { label: 'handled', tone: 'good', names: ['done'] },
  { label: 'failed', tone: 'bad', names: ['retry', 'dead'] },
  { label: 'waits for an organizer', tone: 'wait', names: ['parked'] },
  { label: 'repeat or no handler', tone: 'idle', names: ['duplicate', 'ignored'] },
]

/** The parts of the overview, in the order of the page; each is sent again when it has changed. */
export const overviewParts = (o: Overview): Rendered => ({
  matter: matter(o).text,
  replays: underWay(o).text,
  tiles: tiles(o).text,
  chart: charts(o).text,
  latest: latest(o).text,
  beside: beside(o).text,
})

export const many = (n: number, one: string, more = `${one}s`) =>
  n === 1 ? `1 ${one}` : `${n >= MOST ? `${MOST} or more` : n.toLocaleString('en')} ${more}`

/** Says what is wrong, whether with us, Revento or a handler, and has the button that mends it. */
function matter(o: Overview): Html {
  const revento = reventoTrouble(o)
  if (o.trouble !== undefined)
    return said(
      'This app cannot store anything',
      html`It answers 503 (<code>${o.trouble}</code>), and senders come again: mend the store. README, “Troubleshooting”, says how.`,
    )
  if (o.stalledMs > 10_000)
    return said(
      'Deliveries are stored, and not handled',
      html`The inbox could not be read for ${duration(o.stalledMs)}: the log says why, beside “cannot read the inbox”.`,
    )
  const [worst] = o.givenUp
  const lead = html`The store is well. ${revento ?? 'Revento answers.'} `
  if (worst)
    return html`<h1>Something is wrong with a handler</h1>
<p class="lead">${lead}<code>${breakable(worst.type)}</code> fails; the first came ${ago(worst.since)}.</p>
${o.givenUp.slice(0, 3).map(one => given(one, o))}`
  if (revento)
    return said('Revento does not answer as it should', html`${revento} The store and the handlers are well.`)
  const [failing] = o.failing
  if (failing)
    return said(
      'A handler fails, and is tried again',
      html`${lead}<code>${breakable(failing.type)}</code>: ${many(failing.count, 'delivery', 'deliveries')}, <code><bdi>${failing.error}</bdi></code>.
<a href="/operator/deliveries/${failing.newest}">Look at one</a>`,
    )
  if (o.parked > 0)
    return said(
      'All good here; an organizer has to connect again',
      html`${many(o.parked, 'delivery waits', 'deliveries wait')} for it, and go on by themselves then. <a href="/operator/deliveries?state=parked">Look at them</a>`,
    )
  return said('All good', html`${lead}No delivery was given up.`)
}

const said = (title: string, text: Html) => html`<h1>${title}</h1><p class="lead">${text}</p>`

function given(one: Failing, o: Overview): Html {
  const all = o.givenUp.reduce((sum, { count }) => sum + count, 0)
  const isMore = o.dead > all
  const filter = filterQuery({ state: 'dead', type: one.type })
  return html`<div class="note" data-state="dead"><p><strong>${isMore && 'Of the newest, '}${many(one.count, 'delivery was', 'deliveries were')} given up</strong>: <code>${breakable(one.type)}</code>, the first ${ago(one.since)}<br><code><bdi>${one.error}</bdi></code></p>
<span class="top"><a class="button second" href="/operator/deliveries/${one.newest}">Look at one</a>
<a class="button" href="/operator/replay?${filter}">Replay ${isMore ? 'all' : one.count}…</a></span></div>`
}

function reventoTrouble({ connections, hour }: Overview): Html | undefined {
  const failing = connections.filter(c => c.refresh_failure !== null)
  const last = hour.slice(-5)
  const [failed, answered] = [sumOf(last, 'api_failed'), sumOf(last, 'api_answered')]
  if (failing.length > 0)
    return html`Revento refuses to renew the permission of <bdi>${failing[0]?.event_id}</bdi>: <bdi>${failing[0]?.refresh_failure}</bdi>.`
  return failed > answered
    ? html`Revento failed ${failed} of ${failed + answered} calls in five minutes.`
    : undefined
}

const WATCH = html`<a class="button second" href="/operator/replays">Watch or stop</a>`
const underWay = ({ replays }: Overview): Html =>
  html`${replays.filter(replay => replay.state === 'running').map(replay => replayLine(replay, WATCH))}`

function tiles(o: Overview): Html {
  const received = sumOf(o.hour, 'received')
  const before = sumOf(o.day.slice(0, -4), 'dead')
  const [half, most] = [quantile(o.hour, 0.5), quantile(o.hour, 0.99)]
  const tile = (label: string, figure: string, small: Html | string, state?: string | false) => html`
<div${state && html` data-state="${state}"`}><dt>${label}</dt><dd>${figure}</dd><dd class="quiet">${small}</dd></div>`
  return html`<dl class="tiles">
${tile('Received, last hour', received.toLocaleString('en'), `${Math.round(received / 6) / 10} a minute${refused(o.hour)}`)}
${tile('Received to handled', half === undefined ? '–' : `${duration(Math.round(half))}`, most === undefined ? 'nothing was handled' : `of 99 in 100 within ${duration(Math.round(most))}`)}
${tile('Given up', atMost(o.dead), `${before} of them before the last hour`, o.dead > 0 && 'dead')}
${tile('Waiting', o.waiting.toLocaleString('en'), o.oldestMs < 1_000 ? 'nothing is late' : `the oldest for ${duration(o.oldestMs)}`, o.oldestMs > 60_000 && 'parked')}
${tile('Wait for an organizer', atMost(o.parked), o.parked > 0 ? html`<a href="/operator/deliveries?state=parked">which</a>` : 'none', o.parked > 0 && 'parked')}
</dl>`
}

const atMost = (n: number) => (n >= MOST ? `${MOST}+` : n.toLocaleString('en'))
const refused = (slots: readonly Slot[]) => {
  const n = sumOf(slots, 'refused')
  return n > 0 ? `; ${n} refused` : ''
}

function charts({ hour, day }: Overview): Html {
  const legend = SERIES.map(
    ({ label, tone }) => html`<span class="pill" data-state="${TONES[tone]}">${label}</span>`,
  )
  return html`<section class="card flush" aria-labelledby="chart-title"><header><h2 id="chart-title">Deliveries a minute, last hour</h2>${legend}</header>
<div class="inside">${barChart(hour, SERIES, 'Deliveries a minute, last hour')}
<details><summary>The last day, by quarters of an hour</summary>${barChart(day, SERIES, 'Deliveries by quarter of an hour, last day')}</details></div></section>`
}

const TONES: Record<string, string> = { good: 'done', bad: 'dead', wait: 'parked', idle: 'ignored' }

const latest = ({ latest }: Overview): Html => html`
<section class="card flush" aria-labelledby="latest-title"><header><h2 id="latest-title">Latest deliveries</h2><a class="end" href="/operator/deliveries">All deliveries</a></header>
${deliveriesTable(latest, false)}</section>`

function beside(o: Overview): Html {
  const states = Object.entries(o.states)
  return html`
<section class="card flush" aria-labelledby="connections-title"><header><h2 id="connections-title">Connections</h2>${states.map(
    ([state, n]) => html`<span class="pill" data-state="${state}">${n} ${state}</span>`,
  )}</header>
${
  o.connections.length === 0
    ? html`<p class="inside quiet">None.</p>`
    : html`<table class="stack"><thead><tr><th scope="col">Event, participants as of</th><th scope="col" class="number">Calls</th></tr></thead><tbody>${o.connections.map(
        c => html`<tr><td><a href="/operator/deliveries?${filterQuery({ event_id: c.event_id })}">${breakable(c.event_id)}</a>
${c.state !== 'connected' && html`<br><span class="state" data-state="${c.state}">${STATES[c.state]}</span>`}${c.refresh_failure !== null && html`<br><span class="error"><bdi>${c.refresh_failure}</bdi></span>`}
<br><span class="quiet">${c.fresh_at === null ? 'not copied' : ago(Date.parse(c.fresh_at))}</span></td>
<td class="number">${used(c.used.hour, RATE.perHour)} an hour<br>${used(c.used.minute, RATE.perMinute)} a minute</td></tr>`,
      )}</tbody></table>`
}</section>
<section class="card flush" aria-labelledby="jobs-title"><header><h2 id="jobs-title">Jobs</h2></header>
${
  o.jobs.length === 0
    ? html`<p class="inside quiet">None has run.</p>`
    : html`<table class="stack"><tbody>${o.jobs.map(
        job => html`<tr><td>${job.name}${job.last_error !== null && html`<br><span class="error"><bdi>${job.last_error}</bdi></span>`}</td>
<td><span class="pill" data-state="${job.outcome === 'done' ? 'done' : job.outcome === null ? 'ignored' : 'dead'}">${job.lease_owner === null ? (job.outcome ?? 'not yet') : 'running'}</span> ${job.started_at !== null && ago(job.started_at)}</td></tr>`,
      )}</tbody></table>`
}</section>
${
  o.keys.length > 0 &&
  html`<section class="card" aria-labelledby="keys-title"><h2 id="keys-title">Keys being changed</h2>${o.keys.map(
    state => {
      const { before, at, after } = describeChange(state)
      return html`<p><code>${state.variable}</code>: ${before}${at !== undefined && time(at)}${after}</p>`
    },
  )}</section>`
}`
}

/** How much of a limit of Revento's is used, as a figure and as a bar. */
const used = (n: number, of: number) =>
  html`<meter min="0" max="${of}" high="${of * 0.8}" value="${n}">${n} of ${of}</meter> ${n} of ${of}`
