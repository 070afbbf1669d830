import { Html, html } from '../http/html.ts'
import { ago, duration, exactTime } from '../pages/layout.ts'
import { breakable, facts, storySteps } from '../pages/story.ts'
import { DELIVERY_STATES } from '../pages/words.ts'
import type { DeliveryStory } from '../webhooks/inbox/deliveries.ts'
import { redact } from '../webhooks/inbox/redact.ts'
import { parseLossless } from '../webhooks/verify/lossless-json.ts'
import type { Arrival } from './queries.ts'

export interface StoryView {
  readonly story: DeliveryStory
  readonly reruns: readonly { readonly asked_at: number; readonly anew: number }[]
  readonly arrival: Arrival
  readonly now: number
}

/** The parts of the page that change while it is open: the state, and what happened. */
export const storyParts = (v: StoryView) => ({ state: stateOf(v).text, story: happened(v).text })

function stateOf({ story: d, now }: StoryView): Html {
  const failed = d.state === 'pending' && d.last_error !== null
  const due = d.next_at === null ? undefined : Date.parse(d.next_at)
  return html`<p><span class="pill" data-state="${failed ? 'failed' : d.state}">${failed ? 'failed' : DELIVERY_STATES[d.state]}</span>
${d.last_error !== null && html`<code><bdi>${d.last_error}</bdi></code>`}
${due !== undefined && html`runs again ${due > now ? html`in ${duration(Math.ceil((due - now) / 1_000) * 1_000)}, at ${exactTime(due)}` : 'at once'}`}
${d.state === 'duplicate' && html`of <a href="/operator/deliveries/${d.duplicate_of}">delivery ${d.duplicate_of}</a>`}</p>`
}

function happened({ story, reruns, arrival: { askedAt } }: StoryView): Html {
  const step = (at: number, steps?: string) => ({
    at,
    step: html`<li class="step"><p><strong>The operator</strong> had it run again${steps !== undefined && `: its finished steps ${steps}`}.</p><p class="quiet">${exactTime(at)}</p></li>`,
  })
  const asked = reruns.map(({ asked_at, anew }) =>
    step(asked_at, anew === 1 ? 'run again too, under new keys' : 'are kept'),
  )
  // A replay of a dead delivery, on its page, by a filter or by a command, has no such choice and no row in `reruns`.
  if (askedAt !== undefined && reruns.every(({ asked_at }) => asked_at !== askedAt)) asked.push(step(askedAt))
  return storySteps(story, asked)
}

/** `payload` is a text, with what is personal hidden or not; undefined where it is gone. `actions` are buttons. */
export function storyBody(
  v: StoryView,
  o: { payload: string | undefined; reveal: Html | false; actions: Html },
): Html {
  const { story: d, arrival } = v
  const parts = storyParts(v)
  return html`
<p><a href="/operator/deliveries">All deliveries</a></p>
<h1>${breakable(d.type)} <span class="quiet">delivery ${d.id}</span></h1>
<div id="part-state">${new Html(parts.state)}</div>
<div class="filters">${o.actions}</div>
<div class="split"><section class="card" aria-labelledby="story-title"><h2 id="story-title">What happened</h2>
<div id="part-story">${new Html(parts.story)}</div></section>
<div><section class="card flush" aria-labelledby="payload-title"><header><h2 id="payload-title">Payload</h2><span class="end">${o.reveal}</span></header>
${o.payload === undefined ? html`<p class="inside quiet">It was removed, or is a repeat’s, which is not stored.</p>` : html`<pre tabindex="0" role="region" aria-label="Payload as text"><bdi>${o.payload}</bdi></pre>`}</section>
${facts(d, {
  ...(d.event_id !== null && {
    Event: html`<a href="/operator/deliveries?event_id=${encodeURIComponent(d.event_id)}">${breakable(d.event_id)}</a>`,
  }),
  Received: html`${ago(Date.parse(d.received_at))}`,
  ...headerFacts(arrival),
  ...(arrival.traceId !== undefined && { Trace: html`<code>${arrival.traceId}</code>` }),
  'In the log': html`<code>grep -E '"delivery":${d.id}\\b${arrival.traceId !== undefined && html`|${arrival.traceId}`}'</code>`,
})}</div></div>`
}

const headerFacts = ({ headers }: Arrival) =>
  Object.fromEntries(
    Object.entries(headers).map(([name, text]) => [name, html`<bdi class="mono">${text}</bdi>`]),
  )

/** The payload as it may be shown to somebody who did not ask for what is personal in it. */
export function shownPayload(body: string, isWhole: boolean): string {
  try {
    const value = parseLossless(body)
    return JSON.stringify(isWhole ? value : redact(value, 'hide'), null, 2)
  } catch {
    return isWhole ? body : 'It is no JSON: all of it is hidden.'
  }
}
