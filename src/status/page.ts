import type { FastifyRequest } from 'fastify'
import { Html, html } from '../html.ts'
import { singleParameters } from '../parameters.ts'
import type { StatusOptions } from './index.ts'
import { eventForm, layout, sandboxNote } from './layout.ts'
import { look, soon, stored } from './overview.ts'
import { participantList } from './participants.ts'
import { marksOf, type PartName, type Rendered, renderParts } from './parts.ts'
import { welcomePage } from './views.messages.ts'
import { participantsSection } from './views.participants.ts'
import { rotationSection } from './views.rotation.ts'

/** GET /: what this browser's connections entitle it to, or how to begin. */
export async function statusPage(o: StatusOptions, request: FastifyRequest): Promise<Html> {
  const session = await o.sessions.read(request)
  const before = session ? await stored(o.connections.find, session.connections) : []
  // The event that was asked for, else the one that was connected last.
  const query = singleParameters(request) ?? new URLSearchParams()
  const key = before.find(c => c.eventId === query.get('event_id')) ?? before[0]
  if (!session || !key) return welcomePage(o)

  const { titles, requestedScopes } = o
  const api = o.api(key, request.id)
  if (key.state === 'connected' && key.scopes.includes('event.read'))
    void titles.learn(key, () => api.event())
  const heard = () => o.eventData.participants(key)
  const participants = await participantList(api, key, query.get('cursor') ?? undefined, heard)
  // Read after the call: it may have refreshed a token or found out that the connection has ended.
  const overview = await look(o, await soon(o.runtime, o.trouble()))(session.connections)
  const now = o.runtime.now()
  const parts = renderParts({ ...overview, session, selected: key.eventId, now, titles, requestedScopes })
  return layout({
    title: 'Connected events',
    session,
    stream: streamUrl(key.eventId, parts),
    body: html`
<div class="top"><h1>Connected events</h1><p id="live" class="quiet"></p></div>
<div id="part-health" role="status">${partOf(parts, 'health')}</div>
<div id="part-connections">${partOf(parts, 'connections')}</div>
<details><summary>Connect another event</summary>${eventForm('Event id')}</details>
<div id="part-stuck">${partOf(parts, 'stuck')}</div>
${participantsSection({ ...participants, title: titles.of(key), askedAt: now })}
<div id="part-deliveries">${partOf(parts, 'deliveries')}</div>
${rotationSection(await o.keyChanges())}
<p class="without-script"><a href="/?event_id=${key.eventId}">Look again</a></p>
${sandboxNote(o.sandbox)}`,
  })
}

/** The script asks here for what changes from now on. */
const streamUrl = (event_id: string, parts: Rendered) =>
  `/deliveries/stream?${new URLSearchParams({ event_id, have: marksOf(parts).join('.') }).toString()}`

const partOf = (parts: Rendered, name: PartName) => new Html(parts[name])
