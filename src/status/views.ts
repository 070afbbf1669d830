import { type Html, html } from '../html.ts'
import type { Connection, ConnectionKey } from '../oauth/connections.ts'
import { endsSoon } from '../oauth/ending-soon.ts'
import type { DeliveryView } from '../webhooks/deliveries.ts'
import { layout, sandboxNote, time } from './layout.ts'
import type { ParticipantRow } from './page.ts'

export interface ConnectedView {
  readonly now: number
  readonly sandbox: { url: string } | undefined
  readonly defaultEventId: string
  readonly requestedScopes: readonly string[]
  readonly selected: ConnectionKey
  readonly connections: readonly Connection[]
  readonly participants: readonly ParticipantRow[]
  readonly nextCursor: string | null
  readonly laterPage: boolean
  /** Why Revento's own list is missing: an error code. */
  readonly problem?: string | undefined
  readonly deliveries: readonly DeliveryView[]
  readonly reload: boolean
}

export function connectedPage(v: ConnectedView): Html {
  return layout(
    'Connected events',
    html`
<h1>Connected events</h1>
${v.connections.map(c => connectionCard(c, v))}
${participantsSection(v)}
${deliveriesSection(v)}
${sandboxNote(v.sandbox)}`,
    v.reload,
  )
}

const STATES: Record<Connection['state'], string> = {
  connected: 'Connected',
  reconsent: 'Waiting for you: Revento asks to connect this event again',
  revoked: 'Revoked: this app has no access to the event any more',
  suspended: 'Suspended by Revento: nothing can be called until that is lifted',
  deleted: 'Ended: what was stored of this event has been deleted',
}

const REASONS: Record<string, string> = {
  invalid_grant: 'Revento no longer accepts the permission that was given.',
  refresh_interrupted: 'Revento’s answer was lost while the permission was being renewed.',
  consent_expired: 'The permission has reached its end.',
  sealed_value_damaged: 'The stored permission is damaged.',
}

function connectionCard(c: Connection, v: ConnectedView): Html {
  const missing = v.requestedScopes.filter(scope => !c.scopes.includes(scope))
  const current = c.eventId === v.selected.eventId
  return html`
<section class="card" data-state="${c.state}">
<h2>${v.connections.length > 1 && !current ? html`<a href="/?event=${c.eventId}">${c.eventId}</a>` : c.eventId}</h2>
<p class="state">${STATES[c.state]}</p>
${endsSoon(c, v.now) && html`<p class="problem">Ends ${time(c.refreshExpiresAt)}, unless it is connected again before.</p>`}
${(c.state !== 'connected' || endsSoon(c, v.now)) && html`<p><a class="button" href="/connect?event_id=${c.eventId}">Reconnect</a></p>`}
<dl>
${c.state === 'reconsent' && html`<div><dt>Why</dt><dd>${REASONS[c.reason ?? ''] ?? c.reason}</dd></div>`}
<div><dt>Organization</dt><dd>${c.organizationId}</dd></div>
<div><dt>${c.state === 'connected' ? 'May see' : 'Was allowed to see'}</dt><dd>${c.scopes.join(', ') || 'nothing'}</dd></div>
${missing.length > 0 && html`<div><dt>Not granted</dt><dd>${missing.join(', ')}</dd></div>`}
${c.state === 'connected' && expiries(c)}
</dl>
</section>`
}

const expiries = (c: Connection) => html`
<div><dt>Access token until</dt><dd>${time(c.accessExpiresAt)}, renewed by itself</dd></div>
<div><dt>Connection until</dt><dd>${time(c.refreshExpiresAt)} unless used; at the latest ${time(c.consentExpiresAt)}</dd></div>`

const PROBLEMS: Record<string, string> = {
  reconsent_required: 'Revento asks to connect this event again.',
  revoked: 'This app has no access to the event any more.',
  not_connected: 'This event is not connected.',
  configuration_error: 'Revento does not accept this app’s credentials. Its operator has to correct them.',
  upstream_timeout: 'Revento did not answer in time.',
  upstream_error: 'Revento could not be reached, or gave no usable answer.',
  rate_limit_exceeded: 'Revento’s limit for this connection is used up for now. Look again in a minute.',
  concurrent_limit_exceeded: 'Revento is busy with other calls of this connection. Look again in a moment.',
}

function participantsSection(v: ConnectedView): Html {
  return html`
<section aria-labelledby="participants">
<h2 id="participants">Participants of ${v.selected.eventId}</h2>
${
  v.problem &&
  html`<p class="problem" role="status">${PROBLEMS[v.problem] ?? `Revento answered ${v.problem}.`}
${v.participants.length > 0 && 'Below is what its webhooks have told so far.'}</p>`
}
${v.participants.length === 0 && !v.problem && html`<p class="quiet">Nobody has applied yet.</p>`}
${
  v.participants.length > 0 &&
  html`<div class="scroll" tabindex="0" role="region" aria-labelledby="participants"><table>
<thead><tr><th scope="col">Name</th><th scope="col">Application</th><th scope="col">Last webhook</th></tr></thead>
<tbody>${v.participants.map(participantRow)}</tbody>
</table></div>`
}
<p>
${v.laterPage && html`<a href="/?event=${v.selected.eventId}">First page</a>`}
${v.nextCursor !== null && html`<a href="/?${nextPage(v.selected.eventId, v.nextCursor)}">Next page</a>`}
</p>
</section>`
}

const nextPage = (event: string, cursor: string) => new URLSearchParams({ event, cursor }).toString()

const participantRow = (p: ParticipantRow) => html`
<tr><td><bdi>${p.name}</bdi></td><td>${words(p.status)}</td>
<td>${p.change && html`${p.change.type} ${time(p.change.at)}`}</td></tr>`

function deliveriesSection({ deliveries, reload, connections }: ConnectedView): Html {
  const several = connections.length > 1
  return html`
<section aria-labelledby="deliveries">
<h2 id="deliveries">Webhook deliveries</h2>
${
  deliveries.length === 0
    ? html`<p class="quiet">None yet. ${reload ? 'This page looks again by itself.' : 'They appear here as they come in.'}</p>`
    : html`<div class="scroll" tabindex="0" role="region" aria-labelledby="deliveries"><table>
<thead><tr><th scope="col">Type</th><th scope="col">State</th>${several && html`<th scope="col">Event</th>`}
<th scope="col">Received</th><th scope="col">Attempts</th><th scope="col">Delivery</th></tr></thead>
<tbody>${deliveries.map(d => deliveryRow(d, several))}</tbody>
</table></div>`
}
<p><a href="/">Look again</a></p>
</section>`
}

const DELIVERY_STATES: Record<DeliveryView['state'], string> = {
  pending: 'waiting',
  running: 'being handled',
  done: 'handled',
  ignored: 'stored, no handler',
  duplicate: 'duplicate',
  parked: 'waits for reconnect',
  dead: 'given up',
}

const deliveryRow = (d: DeliveryView, several: boolean) => html`
<tr data-state="${d.state}"><td>${breakable(d.type)}</td>
<td>${deliveryState(d)}</td>${several && html`<td>${d.event_id}</td>`}
<td>${time(Date.parse(d.received_at))}</td><td>${d.attempts}</td><td>${d.id}</td></tr>`

/** One that failed and waits for its next run is not one that waits for its first. */
function deliveryState(d: DeliveryView): Html {
  const failed = d.state === 'pending' && d.last_error !== null
  if (failed) return html`failed, runs again<br><span class="quiet">${d.last_error}</span>`
  const error = d.state === 'dead' && html`<br><span class="quiet">${d.last_error}</span>`
  return html`${DELIVERY_STATES[d.state]}${d.duplicate_of && html` of ${d.duplicate_of}`}${error}`
}

/** Lets a narrow column break a type after its dots and underscores. */
const breakable = (type: string) => html`${type.split(/(?<=[._])/).map(part => html`${part}<wbr>`)}`

const words = (code: string) => code.replaceAll('_', ' ')
