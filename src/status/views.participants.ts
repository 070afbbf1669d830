import { type Html, html } from '../http/html.ts'
import { connectLink, exactTime, time } from './layout.ts'
import type { ParticipantList, ParticipantRow } from './participants.ts'
import { breakable } from './views.deliveries.ts'
import { PROBLEMS, words } from './words.ts'

export function participantsSection(v: ParticipantList): Html {
  return html`
<section aria-labelledby="participants-title">
<h2 id="participants-title">Participants of <bdi>${v.title ?? v.eventId}</bdi></h2>
${
  v.problem &&
  html`<p class="problem">${PROBLEMS[v.problem] ?? html`Revento answered <bdi>${v.problem}</bdi>.`}
${v.waitMs !== undefined && html`It goes on at ${exactTime(v.askedAt + v.waitMs)}.`}
${v.problem === 'scope_missing' && connectLink(v.eventId, 'Connect again to allow it')}
${v.rows.length > 0 && 'Below is what its webhooks have told so far.'}</p>`
}
${v.rows.length === 0 && !v.problem && html`<p class="quiet">${v.laterPage ? 'Nobody on this page.' : 'Nobody has applied yet. Who applies at Revento is listed here.'}</p>`}
${
  v.rows.length > 0 &&
  html`<div class="scroll" tabindex="0" role="region" aria-label="Participants"><table class="participants">
<thead><tr><th scope="col">Name</th><th scope="col">Application</th><th scope="col">Last webhook</th></tr></thead>
<tbody>${v.rows.map(row)}</tbody>
</table></div>`
}
<p class="pages">
${v.laterPage && html`<a href="/?${query(v.eventId)}">First page</a>`}
${v.nextCursor !== null && html`<a href="/?${query(v.eventId, v.nextCursor)}">Next page</a>`}
${canAsk(v) && html`<a href="/?${query(v.eventId)}">Refresh</a>`}
${!v.problem && html`<span class="quiet">As of ${exactTime(v.askedAt)}, not live.</span>`}
</p>
</section>`
}

/** Of an ended connection Revento answers nothing, however often it is asked. */
const ENDED = ['scope_missing', 'suspended', 'reconsent_required', 'revoked', 'not_connected']
const canAsk = ({ laterPage, problem }: ParticipantList) => !laterPage && !ENDED.includes(problem ?? '')

const query = (event_id: string, cursor?: string) =>
  new URLSearchParams({ event_id, ...(cursor === undefined ? {} : { cursor }) }).toString()

const row = (p: ParticipantRow) => html`
<tr><td><bdi>${p.name}</bdi></td><td><bdi>${words(p.status)}</bdi></td>
<td>${p.change ? html`${breakable(p.change.type)} ${time(p.change.at)}` : html`<span class="quiet">none yet</span>`}</td></tr>`
