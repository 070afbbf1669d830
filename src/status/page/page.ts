import type { FastifyInstance, FastifyRequest } from 'fastify'
import { Html, html } from '../../http/html.ts'
import { marksOf, soon } from '../../http/live.ts'
import { singleParameters } from '../../http/parameters.ts'
import { describeChange, type KeyState } from '../../keys/verdict.ts'
import type { Connection } from '../../oauth/connections.ts'
import { type Entitlement, grantFor } from '../../oauth/entitlement.ts'
import type { Session } from '../../oauth/sessions.ts'
import { eventForm, layout, sandboxNote, time } from '../../pages/layout.ts'
import { breakable } from '../../pages/story.ts'
import { disconnectRoute } from './disconnect.route.ts'
import type { Drawn } from './drawn.ts'
import { look, type PageOptions } from './overview.ts'
import { type PartName, type Rendered, renderParts } from './parts.ts'
import { streamRoute } from './stream.route.ts'
import { readView, type View, viewQuery } from './view.ts'
import { searchForm } from './views.participants.ts'
import { storyPage } from './views.story.ts'

/** The organizer's page: what it draws for the routes of this room, and its own routes, which need cookies. */
export function createPage(o: PageOptions): Drawn & { routes(app: FastifyInstance): void } {
  return {
    routes(app) {
      streamRoute(app, o)
      disconnectRoute(app, o)
    },
    overview: (request, session) => overviewPage(o, request, session),
    story: (story, session) => storyPage(story, session, o.appName),
  }
}

/** Shows what this browser's connections entitle it to; undefined where that is nothing. */
async function overviewPage(
  o: PageOptions,
  request: FastifyRequest,
  session: Session,
): Promise<Html | undefined> {
  const view = readView(singleParameters(request) ?? new URLSearchParams())
  const overview = await look(o, await soon(o.runtime, o.trouble()))(session.connections, view)
  const { selected } = overview
  if (!selected) return undefined
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

/** Asks for the event's title where it is unknown. The page does not wait for it: the next look shows it. */
function learnTitle(o: PageOptions, overview: Entitlement, selected: Connection, requestId: string): void {
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
