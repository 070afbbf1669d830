import { type Html, html } from '../http/html.ts'
import type { DeliveryRun, DeliveryStory, DeliveryView } from '../webhooks/inbox/deliveries.ts'
import { duration, exactTime } from './layout.ts'
import { OUTCOMES } from './words.ts'

/** A list of what is known of a delivery, followed by `more`. */
export function facts(d: DeliveryStory, more: Readonly<Record<string, Html>> = {}): Html {
  const known = {
    Sender: html`${d.provider}`,
    Event: breakable(d.event_id ?? 'none'),
    Organization: breakable(d.organization_id ?? 'none'),
    'Delivery id': html`<bdi class="mono">${d.delivery_id ?? 'none was sent'}</bdi>`,
    'Signed id': html`<bdi class="mono">${d.envelope_id}</bdi>`,
    ...(d.finished_at !== null && { 'Took in all': html`${took(d)}` }),
    ...more,
  }
  return html`<section class="card" aria-labelledby="facts-title"><h2 id="facts-title">Facts</h2><dl>
${Object.entries(known).map(([name, text]) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`)}</dl></section>`
}

/** `between` are further steps, by their time in ms since 1970. */
export function storySteps(d: DeliveryStory, between: readonly { at: number; step: Html }[] = []): Html {
  const runs = d.runs.map(r => ({ at: Date.parse(r.started_at), step: run(r, r === d.runs.at(-1)) }))
  const steps = [...runs, ...between].toSorted((a, b) => a.at - b.at)
  return html`<ol class="story">
<li class="step"><p><strong>Received</strong>, its signature verified, stored, and then acknowledged.</p><p class="quiet">${exactTime(Date.parse(d.received_at))}</p></li>
${steps.map(({ step }) => step)}
${ending(d)}
</ol>`
}

/** Only the stack of the last run is open: earlier runs mostly failed in the same way. */
function run(r: DeliveryRun, isLast: boolean): Html {
  const ms = r.ended_at === null ? undefined : Date.parse(r.ended_at) - Date.parse(r.started_at)
  return html`
<li class="step" data-outcome="${r.outcome}"><p><strong>Attempt ${r.attempt}</strong>${ms !== undefined && `, ${duration(ms)}`}: ${OUTCOMES[r.outcome]}.</p>
<p class="quiet">${exactTime(Date.parse(r.started_at))}</p>
${r.error !== null && error(r.error, isLast)}
${r.calls.length > 0 && html`<ul>${r.calls.map(call)}</ul>`}
</li>`
}

/** In development the lines of a stack follow the first line. */
function error(text: string, isOpen: boolean): Html {
  const [line = '', ...stack] = text.split('\n')
  return html`<p class="error"><bdi>${line}</bdi></p>${stack.length > 0 && html`<details${isOpen && html` open`}><summary>Stack</summary><pre><bdi>${stack.join('\n')}</bdi></pre></details>`}`
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

/** The time from a delivery's arrival to its end. */
export const took = (d: DeliveryView) =>
  d.finished_at === null ? '' : duration(Date.parse(d.finished_at) - Date.parse(d.received_at))

/** Lets a narrow column break a type after its dots and underscores. */
export const breakable = (type: string) =>
  html`<bdi>${type.split(/(?<=[._])/).map(part => html`${part}<wbr>`)}</bdi>`
