import { type Html, html } from '../../http/html.ts'
import type { Connection } from '../../oauth/connections.ts'
import { endsSoon } from '../../oauth/endings.ts'
import { grantFor, isSame } from '../../oauth/entitlement.ts'
import { time } from '../../pages/layout.ts'
import { STATES } from '../../pages/words.ts'
import type { Parts } from './overview.ts'
import { ADVICE, PILLS, REASONS } from './words.ts'

export const connectHref = (eventId: string) =>
  `/connect?${new URLSearchParams({ event_id: eventId }).toString()}`

export const connectLink = (eventId: string, text: string | Html) =>
  html`<a class="button" href="${connectHref(eventId)}">${text}</a>`

export function connections(v: Parts): Html {
  return html`
<section aria-labelledby="connections-title">
<h2 id="connections-title">${v.connections.length > 1 ? 'Connections' : 'Connection'}</h2>
${v.connections.map(c => card(c, v))}
</section>`
}

const isDisconnected = (c: Connection) => c.state === 'revoked' && c.reason === 'disconnected'

/** Where Revento's title is unknown, or may not be shown any more, the id stands for it. */
export const titleOf = (c: Connection, v: Pick<Parts, 'titles' | 'grants' | 'connections'>): Html =>
  html`<bdi>${(grantFor(v, c) && v.titles.of(c)) ?? c.eventId}</bdi>`

export const statePill = (c: Connection): Html =>
  html`<span class="pill" data-state="${isDisconnected(c) ? 'disconnected' : c.state}">${isDisconnected(c) ? 'Disconnected' : PILLS[c.state]}</span>`

export const reconnectLink = (c: Connection, v: Parts): Html =>
  connectLink(c.eventId, html`Reconnect ${titleOf(c, v)}`)

/** A card says nothing of the state `connected`: the heading of the page says it. */
function card(c: Connection, v: Parts): Html {
  const ending = endsSoon(c, v.now)
  const reason = c.state === 'reconsent' || c.state === 'revoked' ? REASONS[c.reason ?? ''] : undefined
  const missing = v.requestedScopes.filter(scope => !c.scopes.includes(scope))
  const isCurrent = v.selected !== undefined && isSame(v.selected)(c)
  return html`
<article class="card" data-state="${isDisconnected(c) ? 'disconnected' : c.state}">
${v.connections.length > 1 && heading(c, v, isCurrent)}
${c.state !== 'connected' && html`<p class="state">${isDisconnected(c) ? 'Disconnected here: this app has given up its access' : STATES[c.state]}</p>`}
${reason && html`<p>${reason}</p>`}
${ADVICE[c.state] && html`<p>${ADVICE[c.state]}</p>`}
${ending && html`<p class="problem">Ends ${time(c.refreshExpiresAt)}, unless it is connected again before.</p>`}
${(c.state !== 'connected' || ending) && html`<p>${reconnectLink(c, v)}</p>`}
<dl>
<div><dt>Event</dt><dd><code>${c.eventId}</code></dd></div>
<div><dt>Organization</dt><dd><code><bdi>${c.organizationId}</bdi></code></dd></div>
<div><dt>${c.state === 'connected' ? 'May see' : 'Was allowed to see'}</dt><dd><bdi>${c.scopes.join(', ') || 'nothing'}</bdi></dd></div>
${missing.length > 0 && html`<div><dt>Not granted</dt><dd>${missing.join(', ')}</dd></div>`}
${c.state === 'connected' && expiries(c)}
</dl>
${hasTokens(c) && html`<p class="foot"><a href="/disconnect?${keyQuery(c)}">Disconnect…</a></p>`}
</article>`
}

const hasTokens = (c: Connection) => c.state === 'connected' || c.state === 'suspended'

const keyQuery = (c: Connection) =>
  new URLSearchParams({ event_id: c.eventId, organization_id: c.organizationId }).toString()

/** With several connections, each heading is a link to the event's participants. */
function heading(c: Connection, v: Parts, isCurrent: boolean): Html {
  const name = titleOf(c, v)
  const link = html`<a href="/?${new URLSearchParams({ event_id: c.eventId }).toString()}">${name}</a>`
  return html`<h3>${isCurrent ? name : html`${link} ${statePill(c)}`}</h3>`
}

const expiries = (c: Connection) => html`
<div><dt>Access token until</dt><dd>${time(c.accessExpiresAt)}, renewed by itself</dd></div>
<div><dt>Ends</dt><dd>${time(c.refreshExpiresAt)} unless used; at the latest ${time(c.consentExpiresAt)}</dd></div>`
