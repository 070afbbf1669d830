import { type Html, html } from '../http/html.ts'
import type { Connection } from '../oauth/connections.ts'
import { endsSoon } from '../oauth/endings.ts'
import { grantFor } from '../oauth/entitlement.ts'
import { connectLink, time } from './layout.ts'
import type { Parts } from './overview.ts'
import { ADVICE, REASONS, STATES } from './words.ts'

export function connections(v: Parts): Html {
  return html`
<section aria-labelledby="connections-title">
<h2 id="connections-title">Connections</h2>
<div class="cards">${v.connections.map(c => card(c, v))}</div>
</section>`
}

function card(c: Connection, v: Parts): Html {
  const ending = endsSoon(c, v.now)
  const disconnected = c.state === 'revoked' && c.reason === 'disconnected'
  const reason = c.state === 'reconsent' || c.state === 'revoked' ? REASONS[c.reason ?? ''] : undefined
  const missing = v.requestedScopes.filter(scope => !c.scopes.includes(scope))
  return html`
<article class="card" data-state="${disconnected ? 'disconnected' : c.state}">
${heading(c, v)}
<p class="state">${disconnected ? 'Disconnected here: this app has given up its access' : STATES[c.state]}</p>
${reason && html`<p>${reason}</p>`}
${ADVICE[c.state] && html`<p>${ADVICE[c.state]}</p>`}
${ending && html`<p class="problem">Ends ${time(c.refreshExpiresAt)}, unless it is connected again before.</p>`}
${(c.state !== 'connected' || ending) && html`<p>${connectLink(c.eventId, 'Reconnect')}</p>`}
<dl>
<div><dt>Organization</dt><dd><bdi>${c.organizationId}</bdi></dd></div>
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
function heading(c: Connection, v: Parts): Html {
  const { connections, titles, selected } = v
  const title = grantFor(v, c) && titles.of(c)
  const name = html`<bdi>${title ?? c.eventId}</bdi>`
  const current = c.eventId === selected
  const link = html`<a href="/?${new URLSearchParams({ event_id: c.eventId }).toString()}">${name}</a>`
  return html`<h3>${connections.length > 1 && !current ? link : name}</h3>
${title && html`<p class="quiet id">${c.eventId}</p>`}`
}

const expiries = (c: Connection) => html`
<div><dt>Access token until</dt><dd>${time(c.accessExpiresAt)}, renewed by itself</dd></div>
<div><dt>Connection until</dt><dd>${time(c.refreshExpiresAt)} unless used; at the latest ${time(c.consentExpiresAt)}</dd></div>`
