import { type Html, html } from '../../http/html.ts'
import type { Connection } from '../../oauth/connections.ts'
import { ago, exactTime, formToken } from '../../pages/layout.ts'
import { capital, PROBLEMS, words } from '../../pages/words.ts'
import { shownName } from '../../storage/people.ts'
import type { ParticipantRecord } from '../../storage/schema.ts'
import type { RunView } from '../../sync/index.ts'
import type { Parts } from './overview.ts'
import { GONE, type Listing } from './participants.ts'
import { type View, viewQuery } from './view.ts'
import { connectLink } from './views.connections.ts'
import { APPLICATION_TONES } from './words.ts'

/** The form for a name stands outside of what changes, so that nobody loses what they type. */
export const searchForm = ({ eventId, search, status }: View) => html`
<form class="end search" role="search" action="/">
<input type="hidden" name="event_id" value="${eventId}">
${status !== undefined && html`<input type="hidden" name="status" value="${status}">`}
<input class="text" type="search" name="q" value="${search}" maxlength="200" aria-label="Search by name" placeholder="Search by name" autocomplete="off">
<button class="button small">Search</button></form>`

/** How fresh the list is, what is shown of it, and its rows. */
export function participants(v: Parts): Html {
  const { selected, listing } = v
  if (!selected) return html``
  const problem = whyNothing(selected)
  if (problem !== undefined || !listing)
    return html`<div class="inside"><p class="problem">${PROBLEMS[problem ?? 'not_connected']}</p>
${problem === 'scope_missing' && html`<p>${connectLink(selected.eventId, 'Connect again to allow it')}</p>`}</div>`
  const view = { ...v.view, eventId: selected.eventId }
  return html`
<div class="inside">${freshness(listing, v)}${listing.counts.length > 0 && filters(listing, view)}</div>
${listing.rows.length > 0 ? table(listing.rows) : html`<p class="inside quiet">${nobody(listing, view)}</p>`}
${pages(listing, view)}`
}

/** The code of why no list is shown. What the organizer did not allow this app to see is not shown from webhooks either. */
function whyNothing({ state, scopes }: Connection): string | undefined {
  if (state === 'revoked') return 'revoked'
  if (state === 'deleted') return 'not_connected'
  return scopes.includes('participants.read') ? undefined : 'scope_missing'
}

function freshness(l: Listing, v: Parts): Html {
  if (l.open) return l.freshAsOf === undefined ? firstRun(l.open) : laterRun(l.open, l.freshAsOf)
  const failed = l.last?.outcome === 'failed' && l.last
  return html`<div class="fresh"><p>
${l.freshAsOf === undefined ? 'Not compared with Revento’s list yet: here is whom webhooks have told of.' : html`Complete as of ${ago(l.freshAsOf)}.`}
${failed && html`<span class="problem">The comparison of ${ago(failed.finishedAt ?? failed.createdAt)} failed: ${problemOf(failed.problem)}</span>`}
</p>${v.selected?.state === 'connected' && compareForm(v)}</div>`
}

const problemOf = (code: string | null) =>
  PROBLEMS[code ?? ''] ?? html`<bdi>${words(code ?? 'unknown')}</bdi>.`

const compareForm = ({ selected, session }: Parts) => html`
<form method="post" action="/sync">${formToken(session)}
<input type="hidden" name="event_id" value="${selected?.eventId}">
<input type="hidden" name="organization_id" value="${selected?.organizationId}">
<button class="button small" id="compare">Compare now</button></form>`

/** The list carries no total, so nobody knows how much is left. */
const firstRun = (run: RunView) => html`
<p><strong>${count(run.counted, 'person', 'people')} so far</strong>, page ${run.pages}: the participants are read for the first time.</p>
<progress class="progress" aria-label="Reading the participants"></progress>
<p class="quiet">${waiting(run) ?? 'Revento allows 30 requests a minute; a third is kept free for what comes in meanwhile.'} You can close this page.</p>`

const laterRun = (run: RunView, freshAsOf: number) => html`
<p>Complete as of ${ago(freshAsOf)}. It is being compared with Revento’s list: ${count(run.counted, 'person', 'people')} so far, page ${run.pages}.
${waiting(run)}</p>`

const WAITS: Readonly<Record<string, string>> = {
  limits: 'It waits for Revento’s limit',
  revento: 'Revento does not answer well: it tries again',
  refresh: 'It waits for a new access token',
  suspended: 'Revento has suspended this app: it looks again',
  backlog: 'Webhooks go first: it goes on',
}

function waiting({ waitsFor, waitsUntil }: RunView): Html | undefined {
  if (waitsFor === null) return undefined
  return html`${WAITS[waitsFor] ?? 'It waits'}${waitsUntil !== null && html`, until ${exactTime(waitsUntil)}`}.`
}

const count = (n: number, one: string, several: string) =>
  `${n.toLocaleString('en')} ${n === 1 ? one : several}`

/** A link for each status that somebody has. */
function filters({ counts }: Listing, view: View): Html {
  const of = (isIt: (c: Listing['counts'][number]) => boolean) =>
    counts.filter(isIt).reduce((sum, { n }) => sum + n, 0)
  const known = counts.filter(({ status, gone }) => !gone && status !== null)
  const link = (status: string | undefined, label: string, n: number) =>
    html`<a href="/?${viewQuery(view, { status })}" id="${filterId(status)}"${view.status === status && html` aria-current="true"`}>${label} ${n.toLocaleString('en')}</a>`
  const [gone, listed] = [of(c => c.gone), of(c => !c.gone)]
  return html`<nav class="filters" aria-label="Filter by application">
${link(undefined, 'All', listed)}
${known.map(({ status, n }) => link(status ?? undefined, capital(words(status ?? '')), n))}
${(gone > 0 || view.status === GONE) && link(GONE, 'Gone', gone)}
</nav>`
}

/** The id by which a filter keeps its focus when the list changes. An undocumented status may be any text. */
const filterId = (status = 'all') => /^\w{1,40}$/.test(status) && `filter-${status}`

function nobody({ open }: Listing, { search, status }: View): string {
  if (search !== undefined) return `Nobody’s name has “${search}” in it.`
  if (status !== undefined) return 'Nobody is in this group.'
  return open ? 'Nobody is listed yet.' : 'Nobody has applied yet. Applicants will be listed here.'
}

const table = (rows: readonly ParticipantRecord[]) => html`
<table class="stack participants">
<thead><tr><th scope="col">Name</th><th scope="col">Application</th><th scope="col">Changed</th></tr></thead>
<tbody>${rows.map(row)}</tbody>
</table>`

function row(p: ParticipantRecord): Html {
  const status = p.application_status ?? ''
  const pill =
    p.gone_at === null
      ? status &&
        html`<span class="pill" data-tone="${APPLICATION_TONES[status]}"><bdi>${words(status)}</bdi></span>`
      : html`<span class="pill">gone</span>`
  return html`
<tr><td><bdi>${shownName(p)}</bdi></td><td>${pill}</td><td class="quiet">${ago(p.updated_at)}</td></tr>`
}

function pages({ next }: Listing, view: View): Html | false {
  const isLater = view.after !== undefined
  if (!isLater && next === undefined) return false
  return html`<p class="inside pages">
${isLater && html`<a href="/?${viewQuery(view)}" id="first-page">First page</a>`}
${next !== undefined && html`<a href="/?${viewQuery(view, { after: next })}" id="next-page">Next page</a>`}</p>`
}
