import type { FastifyRequest } from 'fastify'
import { Html, html } from '../http/html.ts'
import { marksOf, soon } from '../http/live.ts'
import { singleParameters } from '../http/parameters.ts'
import { describeChange, type KeyState } from '../keys/verdict.ts'
import type { Connection } from '../oauth/connections.ts'
import { type Entitlement, grantFor } from '../oauth/entitlement.ts'
import { eventForm, layout, sandboxNote, time } from '../pages/layout.ts'
import { breakable } from '../pages/story.ts'
import { look, type StatusOptions } from './overview.ts'
import { type PartName, type Rendered, renderParts } from './parts.ts'
import { readView, type View, viewQuery } from './view.ts'
import { welcomePage } from './views.messages.ts'
import { searchForm } from './views.participants.ts'

/** GET / shows what this browser's connections entitle it to, or how to begin. */
export async function statusPage(o: StatusOptions, request: FastifyRequest): Promise<Html> {
  const session = await o.sessions.read(request)
  if (!session) return welcomePage(o)
  const view = readView(singleParameters(request) ?? new URLSearchParams())
  const overview = await look(o, await soon(o.runtime, o.trouble()))(session.connections, view)
  const { selected } = overview
  if (!selected) return welcomePage(o)
  learnTitle(o, overview, selected, request.id)
  const { titles, requestedScopes } = o
  const parts = renderParts({ ...overview, session, now: o.runtime.now(), titles, requestedScopes })
  const shown = { ...view, eventId: selected.eventId }
  return layout({
    appName: o.appName,
    title: (grantFor(overview, selected) && titles.of(selected)) ?? selected.eventId,
    session,
    stream: streamUrl({ ...shown, after: view.after }, parts),
    body: html`
<div class="top"><div id="part-heading">${partOf(parts, 'heading')}</div><p id="live" class="quiet"></p></div>
<div id="part-health" role="status">${partOf(parts, 'health')}</div>
<div id="part-stuck">${partOf(parts, 'stuck')}</div>
<section class="card flush" aria-labelledby="participants-title">
<header><h2 id="participants-title">Participants</h2>${searchForm(shown)}</header>
<div id="part-participants">${partOf(parts, 'participants')}</div>
</section>
<div class="split">
<div id="part-deliveries">${partOf(parts, 'deliveries')}</div>
<div>
<div id="part-connections">${partOf(parts, 'connections')}</div>
<details><summary>Connect another event</summary>${eventForm('Event id')}</details>
</div>
</div>
${rotationSection(await o.keyChanges())}
<p class="without-script"><a href="/?${viewQuery(shown, { after: view.after })}">Refresh the page</a></p>
${sandboxNote(o.sandbox)}`,
  })
}

/** Asks for the event's title where it is unknown. Nobody waits for it: the next look shows it. */
function learnTitle(o: StatusOptions, overview: Entitlement, selected: Connection, requestId: string): void {
  const grant = grantFor(overview, selected)
  if (grant && selected.state === 'connected' && selected.scopes.includes('event.read'))
    void o.titles.learn(grant, () => o.api(grant, requestId).event())
}

/** The URL from which the script gets what changes from now on. */
const streamUrl = (view: View, parts: Rendered) =>
  `/deliveries/stream?${new URLSearchParams({ view: viewQuery(view, { after: view.after }), have: marksOf(parts).join('.') }).toString()}`

const partOf = (parts: Rendered, name: PartName) => new Html(parts[name])

/** Says, while a secret or key is being changed, whether the old one can go. It is for the operator, and has no secret. */
function rotationSection(changes: readonly KeyState[]): Html | false {
  return (
    changes.length > 0 &&
    html`
<section aria-labelledby="keys-title">
<h2 id="keys-title">Keys being changed</h2>
<p class="quiet">For whoever runs this app; an organizer need not do anything.</p>
<ul class="rows">${changes.map(line)}</ul>
</section>`
  )
}

function line(state: KeyState): Html {
  const { before, at, after } = describeChange(state)
  return html`
<li class="row"><div><code>${breakable(state.variable)}</code>: ${before}${at !== undefined && time(at)}${after}</div></li>`
}
