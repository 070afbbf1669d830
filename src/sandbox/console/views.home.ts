import { type Html, html } from '../../http/html.ts'
import { findEvent, testEvents } from '../api/events.ts'
import type { Context } from '../context.ts'
import type { Installation } from '../state.ts'
import { CHOICES } from './choices.ts'
import { holdings } from './control.ts'
import { button, moment, span } from './views.parts.ts'

export function homePage(context: Context): Html {
  const all = Object.values(context.state.installations).toReversed()
  const current = all.filter(({ ended }) => ended === null)
  const ended = all.filter(installation => installation.ended !== null)
  return html`
<h1>Connections</h1>
<div class="columns">
<div>
<section><h2 id="installations">Installations and tokens</h2>
${current.length ? current.map(one => card(context, one)) : nothing(context)}
${current.length > 0 && wholeIntegration()}
${ended.length > 0 && endedList(ended)}
</section>
</div>
<div>
${clockSection(context)}
${eventsSection()}
</div>
</div>
<details><summary>What this sandbox chose</summary>
<p>Revento's guide leaves these open, so the real platform may differ. Do not build on them.</p>
<ul>${CHOICES.map(text => html`<li>${text}</li>`)}</ul>
</details>`
}

function nothing({ options }: Context): Html {
  const app = new URL(options.redirectUri).origin
  return html`<p class="empty">Nothing is connected. Open <a href="${app}">your app</a>, choose Connect and then Authorize: the installation and its tokens appear here.</p>`
}

function card(context: Context, installation: Installation): Html {
  const { event_id, organization_id, scope, consented_at } = installation
  const form = `end-${installation.id}`
  return html`<article class="card">
<h3>${findEvent(event_id)?.row.title} <code>${event_id}</code></h3>
<p class="quiet">For <code>${organization_id}</code>, consent given ${moment(consented_at)}<br>
${scope.split(' ').map(name => html`<code>${name}</code> `)}</p>
${tokens(context, installation)}
<form method="post" action="/console/revoke" id="${form}" class="row">
<input type="hidden" name="event_id" value="${event_id}">
<button aria-label="Revoke: ${event_id}">Revoke</button>
<button formaction="/console/archive" aria-label="Archive event: ${event_id}">Archive event</button>
<label class="tick"><input type="checkbox" name="tell"> and send data.deletion_required</label>
</form>
</article>`
}

function tokens({ state, clock }: Context, installation: Installation): Html {
  const now = clock.now()
  const { access, accessUntil, refreshUntil } = holdings(state, installation, now)
  const about = installation.event_id
  const press = (action: string, label: string, kind: string) =>
    button({ action, label, about: `${kind} of ${about}`, fields: { event_id: about } })
  return html`<dl class="tokens">
<div><dt>Access token${access > 1 && `s: ${access}`}</dt>
<dd>${accessUntil ? html`${span(accessUntil - now)} left` : 'none is valid'}</dd>
<dd class="row">${access > 0 && press('/expire-access-tokens', 'Expire now', 'access tokens')}</dd></div>
<div><dt>Refresh token</dt>
<dd>${refreshUntil ? html`${span(refreshUntil - now)} left` : 'none is usable'}</dd>
<dd class="row">${
    refreshUntil &&
    html`${press('/expire-refresh-tokens', 'Expire now', 'refresh token')}
${press('/revoke-refresh-tokens', 'Revoke token', 'refresh token')}`
  }</dd></div>
</dl>`
}

function wholeIntegration(): Html {
  return html`<form method="post" action="/console/suspend" class="row">
<button>Suspend the integration</button>
<label class="tick"><input type="checkbox" name="tell"> and send integration.suspended</label>
</form>`
}

function endedList(ended: Installation[]): Html {
  const rows = ended.map(
    ({ event_id, consented_at, ended: why }) =>
      html`<li><code>${event_id}</code> of ${moment(consented_at)}: ${why?.replaceAll('_', ' ')}</li>`,
  )
  return html`<details><summary>Ended installations: ${ended.length}</summary><ul>${rows}</ul></details>`
}

const STEPS = [
  [3600, 'an access token'],
  [86_400, ''],
  [90 * 86_400, 'an unused refresh token'],
  [365 * 86_400, 'a consent'],
] as const

function clockSection({ clock }: Context): Html {
  const steps = STEPS.map(
    ([seconds, life]) =>
      html`<li>${button({
        action: '/clock',
        label: `+ ${span(seconds * 1000)}`,
        about: 'move the clock forward',
        fields: { advance_s: String(seconds) },
      })} <span class="quiet">${life && `the life of ${life}`}</span></li>`,
  )
  return html`<section><h2 id="clock">Clock</h2>
<p>${moment(clock.now())}, ${clock.offset() ? html`<strong>${span(clock.offset())} ahead</strong>` : 'the machine’s time'}</p>
<ul class="plain">${steps}</ul>
<p class="quiet">It dates and judges codes, tokens and consents. Your app's own clock does not move, nor do webhook
timestamps and rate limits. Set back, what was issued keeps the life it has left.</p>
</section>`
}

function eventsSection(): Html {
  const rows = testEvents().map(
    ({ row }) =>
      html`<li>${row.title} <code>${row.id}</code><br><span class="quiet">${row.starts_at.slice(0, 10)} to ${row.ends_at.slice(0, 10)}, ${row.publish_status}</span></li>`,
  )
  return html`<section><h2 id="events">Test events</h2><ul class="plain">${rows}</ul></section>`
}
