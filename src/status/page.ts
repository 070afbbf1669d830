import type { FastifyRequest } from 'fastify'
import { Html, html } from '../http/html.ts'
import { marksOf } from '../http/live.ts'
import { singleParameters } from '../http/parameters.ts'
import { describeChange, type KeyState } from '../keys/verdict.ts'
import type { ConnectionKey } from '../oauth/connections.ts'
import { type Entitlement, entitlement, type Grant, grantFor, isSame } from '../oauth/entitlement.ts'
import { eventForm, layout, sandboxNote, time } from './layout.ts'
import { look, type StatusOptions, soon } from './overview.ts'
import { type Answered, askRevento, endCode, participantList, participantsSection } from './participants.ts'
import { type PartName, type Rendered, renderParts } from './parts.ts'
import { breakable } from './views.deliveries.ts'
import { welcomePage } from './views.messages.ts'

/** GET / shows what this browser's connections entitle it to, or how to begin. */
export async function statusPage(o: StatusOptions, request: FastifyRequest): Promise<Html> {
  const session = await o.sessions.read(request)
  if (!session) return welcomePage(o)
  const entitled = await entitlement(o.connections.find, session.connections)
  const query = singleParameters(request) ?? new URLSearchParams()
  const key = choose(entitled, query.get('event_id'))
  if (!key) return welcomePage(o)

  const { titles, requestedScopes } = o
  const cursor = query.get('cursor') ?? undefined
  const grant = grantFor(entitled, key)
  const asked = grant && (await ask(o, grant, entitled, { cursor, requestId: request.id }))
  // Read after the call, which may have refreshed a token or found that the connection has ended.
  const overview = await look(o, await soon(o.runtime, o.trouble()))(session.connections)
  const granted = grantFor(overview, key)
  const participants =
    granted && asked
      ? participantList(asked, await o.heard(granted))
      : participantList({ problem: asked?.problem ?? endCode(overview.connections.find(isSame(key))) }, [])
  const now = o.runtime.now()
  const parts = renderParts({ ...overview, session, selected: key.eventId, now, titles, requestedScopes })
  return layout({
    appName: o.appName,
    title: 'Connected events',
    session,
    stream: streamUrl(key.eventId, parts),
    body: html`
<div class="top"><h1>Connected events</h1><p id="live" class="quiet"></p></div>
<div id="part-health" role="status">${partOf(parts, 'health')}</div>
<div id="part-connections">${partOf(parts, 'connections')}</div>
<details><summary>Connect another event</summary>${eventForm('Event id')}</details>
<div id="part-stuck">${partOf(parts, 'stuck')}</div>
${participantsSection({
  ...participants,
  eventId: key.eventId,
  title: granted && titles.of(granted),
  laterPage: cursor !== undefined,
  askedAt: now,
})}
<div id="part-deliveries">${partOf(parts, 'deliveries')}</div>
${rotationSection(await o.keyChanges())}
<p class="without-script"><a href="/?event_id=${key.eventId}">Refresh the page</a></p>
${sandboxNote(o.sandbox)}`,
  })
}

/** Chooses the event of the query, or else the event connected last; before others one that has not ended. */
function choose({ connections, grants }: Entitlement, eventId: string | null): ConnectionKey | undefined {
  const isAsked = (key: ConnectionKey) => key.eventId === eventId
  return grants.find(isAsked) ?? connections.find(isAsked) ?? grants[0] ?? connections[0]
}

/** Asks Revento for the participants, and for the event's title, which a later page shows. */
async function ask(
  o: StatusOptions,
  grant: Grant,
  { connections }: Entitlement,
  { cursor, requestId }: { cursor: string | undefined; requestId: string },
): Promise<Answered> {
  const api = o.api(grant, requestId)
  const connection = connections.find(isSame(grant))
  if (connection?.state === 'connected' && connection.scopes.includes('event.read'))
    void o.titles.learn(grant, () => api.event())
  return askRevento(api, cursor)
}

/** The URL from which the script gets what changes from now on. */
const streamUrl = (event_id: string, parts: Rendered) =>
  `/deliveries/stream?${new URLSearchParams({ event_id, have: marksOf(parts).join('.') }).toString()}`

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
