import { type Html, html } from '../../http/html.ts'
import { findEvent, testEvents } from '../api/events.ts'
import type { Context } from '../context.ts'
import type { Installation } from '../state.ts'
import { holdings } from './installations.ts'
import { button, many, moment, span } from './views.parts.ts'

/** What Revento's guide leaves open and this sandbox had to decide: nothing may be built on any of it. */
const CHOICES: readonly string[] = [
  'An authorization code lives 60 seconds and is spent by the first attempt to use it, successful or not.',
  'Using a code a second time revokes the installation that the first use led to.',
  'Using a refresh token a second time revokes the installation with all its tokens; there is no grace period.',
  'A refresh leaves earlier access tokens valid until their hour is over.',
  'A new consent for the same event and organization replaces the earlier installation.',
  'state and event_id are required at authorize; errors other than a wrong client_id or redirect_uri are redirected, with state.',
  'The consenting person grants all requested scopes or none.',
  'Token errors have the form of RFC 6749; a wrong client is 401 invalid_client, and Basic authentication is not taken.',
  'Names of the fields in rows and in webhook data, except those the guide shows.',
  'A missing scope is 403 missing_scope. Other own codes: not_found, not_acceptable, invalid_limit, invalid_cursor.',
  'A limit above 50 is refused with 400. Cursors do not expire; rows are sorted by id.',
  'Rate windows are fixed and begin with the first request in them; the headers describe the window with the fewest requests left. A refreshed access token has fresh budgets, and the token endpoint has none.',
  'A webhook that gets no 2xx within 10 seconds is repeated after 1, 2, 4, 8, 16, 30 and 60 seconds, then given up. Each attempt is signed anew with a fresh timestamp; the delivery id stays.',
  'A person who cancels stays in the list as cancelled, one who is removed leaves it, and no webhook tells either. A person who is added stands among the others, so that the rows behind move on; a cursor is a position.',
  'Deliveries do not wait for each other: a repeated one may arrive after its successors.',
  'After each connection a waiting application is approved and its participant registers; when none waits any more, the event goes back to its first state.',
  'Login with Revento: who has no application, or whose event is not connected, comes back with access_denied; the token answer names the participant in user_id; a participant’s token is refused elsewhere with 403 installation_token_required, and ends with the connection that is revoked, archived or suspended.',
  'A request id that is not a UUID is replaced, not refused.',
  'Revoking, archiving and suspending send a webhook only where the box for it is ticked. All three end installations with token_revoked; a new consent makes the event usable again.',
]

export function homePage(context: Context): Html {
  const all = Object.values(context.state.installations).toReversed()
  const current = all.filter(({ ended }) => ended === null)
  const app = new URL(context.options.redirectUri).origin
  return html`
<h1>Connections</h1>
<div class="columns">
<div>
<section><h2 id="installations">Installations and tokens</h2>
${
  current.length > 0
    ? html`${current.filter(one => one.user_id === undefined).map(installation => card(context, installation))}
${signedIn(current.filter(one => one.user_id !== undefined))}
<form method="post" action="/console/suspend" class="row">
<button class="danger">Suspend the integration</button>${tell('integration.suspended')}
</form>`
    : html`<p class="empty">Nothing is connected. Open <a href="${app}">your app</a>, choose Connect and then Authorize: the installation and its tokens appear here.</p>`
}
${endedList(all.filter(({ ended }) => ended !== null))}
</section>
</div>
<div>
${clockSection(context)}
<section><h2 id="events">Test events</h2><ul class="plain">${testEvents().map(
    ({ row, people }) =>
      html`<li>${row.title} <code>${row.id}</code><br><span class="quiet">${row.starts_at.slice(0, 10)} to ${row.ends_at.slice(0, 10)}, ${row.publish_status}, <a href="/people?event_id=${row.id}">${many(people, 'person', 'people')}</a></span></li>`,
  )}</ul></section>
<section><h2 id="reset">Reset</h2>
<p class="quiet">It forgets every connection, delivery and bad day, and sets the clock back.</p>
${button('/reset', 'Reset the sandbox', 'make it new', {}, 'danger')}</section>
</div>
</div>
<details><summary>What this sandbox chose</summary>
<p>Revento's guide leaves these open, so the real platform may differ. Do not build on them.</p>
<ul>${CHOICES.map(text => html`<li>${text}</li>`)}</ul>
</details>`
}

function signedIn(current: readonly Installation[]): Html | undefined {
  if (current.length === 0) return undefined
  const rows = current.map(
    ({ user_id = '', event_id, consented_at }) =>
      html`<li class="row"><code>${user_id}</code> at <code>${event_id}</code>, ${moment(consented_at)} ${button('/revoke', 'Revoke', `the sign-in of ${user_id}`, { event_id, user_id }, 'danger')}</li>`,
  )
  return html`<h3>Participants who signed in: ${current.length}</h3><ul class="plain">${rows}</ul>`
}

const tell = (type: string) =>
  html`<label class="tick"><input type="checkbox" name="tell"> and send ${type}</label>`

function card({ state, clock }: Context, installation: Installation): Html {
  const { id, event_id, organization_id, scope, consented_at } = installation
  const now = clock.now()
  const { access, accessUntil, refreshUntil } = holdings(state, installation, now)
  const press = (action: string, label: string, kind: string, look?: 'danger') =>
    button(action, label, `${kind} of ${event_id}`, { event_id }, look)
  return html`<article class="card">
<h3>${findEvent(event_id)?.row.title} <code>${event_id}</code></h3>
<p class="quiet">For <code>${organization_id}</code>, consent given ${moment(consented_at)}<br>
${scope.split(' ').map(name => html`<code>${name}</code> `)}</p>
<dl class="tokens">
<div><dt>Access token${access > 1 && `s: ${access}`}</dt>
<dd>${accessUntil ? html`${span(accessUntil - now)} left` : 'none is valid'}</dd>
<dd class="row">${access > 0 && press('/expire-access-tokens', 'Expire now', 'access tokens')}</dd></div>
<div><dt>Refresh token</dt>
<dd>${refreshUntil ? html`${span(refreshUntil - now)} left` : 'none is usable'}</dd>
<dd class="row">${
    refreshUntil &&
    html`${press('/expire-refresh-tokens', 'Expire now', 'refresh token')}
${press('/revoke-refresh-tokens', 'Revoke token', 'refresh token', 'danger')}`
  }</dd></div>
</dl>
<form method="post" action="/console/revoke" id="end-${id}" class="row">
<input type="hidden" name="event_id" value="${event_id}">
<button class="danger" aria-label="Revoke: ${event_id}">Revoke</button>
<button class="danger" formaction="/console/archive" aria-label="Archive event: ${event_id}">Archive event</button>${tell('data.deletion_required')}
</form>
</article>`
}

function endedList(ended: readonly Installation[]): Html | undefined {
  if (ended.length === 0) return undefined
  const rows = ended.map(
    ({ event_id, consented_at, ended: why }) =>
      html`<li><code>${event_id}</code> of ${moment(consented_at)}: ${why?.replaceAll('_', ' ')}</li>`,
  )
  return html`<details><summary>Ended installations: ${ended.length}</summary><ul>${rows}</ul></details>`
}

const STEPS = [
  [3600, 'the life of an access token'],
  [86_400, ''],
  [90 * 86_400, 'the life of an unused refresh token'],
  [365 * 86_400, 'the life of a consent'],
] as const

function clockSection({ clock }: Context): Html {
  const steps = STEPS.map(([seconds, life]) => {
    const label = `+ ${span(seconds * 1000)}`
    const step = button('/clock', label, 'move the clock forward', { advance_s: String(seconds) })
    return html`<li>${step} <span class="quiet">${life}</span></li>`
  })
  return html`<section><h2 id="clock">Clock</h2>
<p>${moment(clock.now())}, ${clock.offset() ? html`<strong>${span(clock.offset())} ahead</strong>` : 'the machine’s time'}</p>
<ul class="plain">${steps}</ul>
<p class="quiet">It dates and judges codes, tokens and consents. Your app's own clock does not move, nor do webhook
timestamps and rate limits. When it is set back, what was issued keeps the life it has left.</p>
</section>`
}
