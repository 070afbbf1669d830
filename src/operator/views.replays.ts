import { type Html, html } from '../http/html.ts'
import { ago } from '../pages/layout.ts'
import { type Filter, filterWords } from './filter.ts'
import { PER_STEP, type Replay } from './replays.ts'

const WORDS = { running: 'under way', done: 'finished', stopped: 'stopped' }

export const wordsOf = (replay: Pick<Replay, 'filter'>) => filterWords(JSON.parse(replay.filter) as Filter)

/** Shows how far a replay is; `button` is for what can be done about it. */
export const replayLine = (replay: Replay, button: Html | false): Html => html`
<div class="note"><p><strong>Replay of <bdi>${wordsOf(replay)}</bdi>: ${replay.replayed} of ${replay.total}</strong>, ${WORDS[replay.state]}, begun ${ago(replay.created_at)}
<br><progress class="progress" max="${Math.max(1, replay.total)}" value="${replay.replayed}" aria-label="Replay ${replay.id}">${replay.replayed} of ${replay.total}</progress></p>
${button}</div>`

export function replaysBody(replays: readonly Replay[], stop: (replay: Replay) => Html): Html {
  return html`<h1>Replays</h1>
<p class="lead">Each runs at most ${PER_STEP} deliveries a second again, in all instances together, and each delivery once.</p>
${replays.length === 0 && html`<p>There was none. Choose “given up” under <a href="/operator/deliveries?state=dead">Deliveries</a>, and press Replay.</p>`}
<div id="part-list">${replayList(replays, stop)}</div>`
}

export const replayList = (replays: readonly Replay[], stop: (replay: Replay) => Html): Html => html`
${replays.map(replay => replayLine(replay, replay.state === 'running' && stop(replay)))}`
