import { type Html, html } from '../http/html.ts'
import { ConnectionUnavailable } from '../oauth/access-token.ts'
import type { Connection } from '../oauth/connections.ts'
import { ApiError, type EventApi } from '../revento/api.ts'
import type { Page } from '../revento/platform.ts'
import type { ParticipantRecord } from '../storage/schema.ts'
import { connectLink, exactTime, time } from './layout.ts'
import { breakable } from './views.deliveries.ts'
import { PROBLEMS, words } from './words.ts'

/** A participant as Revento lists it, with what webhooks said since. */
export interface ParticipantRow {
  readonly id: string
  readonly name: string
  readonly status: string
  /** The last event type that concerned this participant, and when it was received (ms). */
  readonly change: { type: string; at: number } | undefined
}

interface ParticipantList {
  readonly eventId: string
  readonly title: string | undefined
  readonly rows: readonly ParticipantRow[]
  readonly nextCursor: string | null
  readonly laterPage: boolean
  /** The code of why Revento's own list is missing. */
  readonly problem?: string | undefined
  /** For how many ms after `askedAt` a new call fails too. */
  readonly waitMs?: number | undefined
  readonly askedAt: number
}

const ROWS = 10

/** Revento's answer: a page of its list, or an error code. */
export interface Answered {
  readonly page?: Page
  readonly problem?: string
  readonly waitMs?: number | undefined
}

/** Lists a page of Revento's, or what webhooks said where Revento gives none. */
export const participantList = (
  { page, problem, waitMs }: Answered,
  heard: readonly ParticipantRecord[],
): Pick<ParticipantList, 'rows' | 'nextCursor' | 'problem' | 'waitMs'> => ({
  // Participants that the organizer did not allow this app to see are not shown from webhooks either.
  rows: page
    ? page.data.map(row => merge(row, heard))
    : problem === 'scope_missing'
      ? []
      : heard.map(localRow),
  nextCursor: page?.has_more ? page.next_cursor : null,
  problem,
  waitMs,
})

/** The code of why nothing is listed for a connection that has ended. */
export const endCode = (connection: Connection | undefined) =>
  connection?.state === 'revoked' ? 'revoked' : 'not_connected'

export async function askRevento(api: EventApi, cursor: string | undefined): Promise<Answered> {
  try {
    return { page: await api.participants({ cursor, limit: ROWS }) }
  } catch (error) {
    if (error instanceof ApiError) return { problem: error.code, waitMs: error.retryAfterMs }
    if (error instanceof ConnectionUnavailable) return { problem: error.code }
    throw error
  }
}

const text = (v: unknown) => (typeof v === 'string' ? v : undefined)

/** Only the status is documented; other fields are shown where they are there. */
function merge(row: Record<string, unknown>, local: readonly ParticipantRecord[]): ParticipantRow {
  const id = text(row['id']) ?? text(row['participant_id']) ?? ''
  const heard = local.find(l => l.participant_id === id)
  return {
    id,
    name: text(row['name']) ?? heard?.name ?? id,
    status: text(row['application_status']) ?? heard?.application_status ?? '',
    change: heard && { type: heard.last_type, at: heard.updated_at },
  }
}

const localRow = (row: ParticipantRecord): ParticipantRow => ({
  id: row.participant_id,
  name: row.name ?? row.participant_id,
  status: row.application_status ?? '',
  change: { type: row.last_type, at: row.updated_at },
})

export function participantsSection(v: ParticipantList): Html {
  return html`
<section aria-labelledby="participants-title">
<h2 id="participants-title">Participants of <bdi>${v.title ?? v.eventId}</bdi></h2>
${
  v.problem &&
  html`<p class="problem">${PROBLEMS[v.problem] ?? html`Revento answered <bdi>${v.problem}</bdi>.`}
${v.waitMs !== undefined && html`It goes on at ${exactTime(v.askedAt + v.waitMs)}.`}
${v.problem === 'scope_missing' && connectLink(v.eventId, 'Connect again to allow it')}
${v.rows.length > 0 && 'Below is what its webhooks have said so far.'}</p>`
}
${v.rows.length === 0 && !v.problem && html`<p class="quiet">${v.laterPage ? 'Nobody on this page.' : 'Nobody has applied yet. Applicants will be listed here.'}</p>`}
${
  v.rows.length > 0 &&
  html`<div class="scroll" tabindex="0" role="region" aria-label="Participants"><table class="participants">
<thead><tr><th scope="col">Name</th><th scope="col">Application</th><th scope="col">Last webhook</th></tr></thead>
<tbody>${v.rows.map(row)}</tbody>
</table></div>`
}
<p class="pages">
${v.laterPage && html`<a href="/?${query(v.eventId)}">First page</a>`}
${v.nextCursor !== null && html`<a href="/?${query(v.eventId, v.nextCursor)}">Next page</a>`}
${canAsk(v) && html`<a href="/?${query(v.eventId)}">Refresh</a>`}
${!v.problem && html`<span class="quiet">As of ${exactTime(v.askedAt)}, not live.</span>`}
</p>
</section>`
}

/** The codes after which a refresh of the page brings nothing new. */
const ENDED = ['scope_missing', 'suspended', 'reconsent_required', 'revoked', 'not_connected']
const canAsk = ({ laterPage, problem }: ParticipantList) => !laterPage && !ENDED.includes(problem ?? '')

const query = (event_id: string, cursor?: string) =>
  new URLSearchParams({ event_id, ...(cursor === undefined ? {} : { cursor }) }).toString()

const row = (p: ParticipantRow) => html`
<tr><td><bdi>${p.name}</bdi></td><td><bdi>${words(p.status)}</bdi></td>
<td>${p.change ? html`${breakable(p.change.type)} ${time(p.change.at)}` : html`<span class="quiet">none yet</span>`}</td></tr>`
