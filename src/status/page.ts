import type { FastifyRequest } from 'fastify'
import type { Html } from '../html.ts'
import { ConnectionUnavailable } from '../oauth/access-token.ts'
import type { Connection, ConnectionKey } from '../oauth/connections.ts'
import { singleParameters } from '../parameters.ts'
import { ApiError } from '../revento/api.ts'
import type { Page } from '../revento/platform.ts'
import type { ParticipantsTable } from '../storage/schema.ts'
import type { StatusOptions } from './index.ts'
import { welcomePage } from './layout.ts'
import type { Session } from './session.ts'
import { connectedPage } from './views.ts'

const ROWS = 10
const DELIVERIES_SHOWN = 20
/** While the first deliveries of a new connection come in, the page reloads by itself. */
const FRESH_MS = 15_000

/** A participant as Revento lists it, with what the webhooks have said since. */
export interface ParticipantRow {
  readonly id: string
  readonly name: string
  readonly status: string
  /** The last event type that concerned this participant, and when it was received (ms). */
  readonly change: { type: string; at: number } | undefined
}

export async function statusPage(o: StatusOptions, request: FastifyRequest): Promise<Html> {
  const session = await o.sessions.read(request)
  if (!session) return welcomePage(o)
  const query = singleParameters(request) ?? new URLSearchParams()
  const key = await selected(o, session, query.get('event'))
  const cursor = query.get('cursor') ?? undefined
  const { page, problem } = await participants(o, key, request.id, cursor)
  const local = await o.eventData.participants(key.eventId)
  // Read after the call: it may have refreshed a token or found out that the connection has ended.
  const connections = await known(o, session)
  const eventIds = [...new Set(connections.map(c => c.eventId))]
  return connectedPage({
    ...o,
    now: o.runtime.now(),
    selected: key,
    connections,
    participants: page ? page.data.map(row => merge(row, local)) : local.map(localRow),
    nextCursor: page?.has_more ? page.next_cursor : null,
    laterPage: cursor !== undefined,
    problem,
    deliveries: await o.deliveries.ofEvents(eventIds, DELIVERIES_SHOWN),
    reload: connections.some(c => o.runtime.now() - c.connectedAt < FRESH_MS),
  })
}

/** The event that was asked for, else the one that was connected last. */
async function selected(o: StatusOptions, session: Session, eventId: string | null): Promise<ConnectionKey> {
  const [first = { eventId: '', organizationId: '' }, ...others] = session.connections
  const asked = session.connections.find(held => held.eventId === eventId)
  if (asked || others.length === 0) return asked ?? first
  const [latest] = (await known(o, session)).toSorted((a, b) => b.connectedAt - a.connectedAt)
  return latest ?? first
}

async function known(o: StatusOptions, session: Session): Promise<Connection[]> {
  const found = await Promise.all(session.connections.map(key => o.connections.find(key)))
  return found.filter(c => c !== undefined)
}

async function participants(
  o: StatusOptions,
  key: ConnectionKey,
  requestId: string,
  cursor: string | undefined,
): Promise<{ page?: Page; problem?: string }> {
  try {
    return { page: await o.api(key, requestId).participants({ cursor, limit: ROWS }) }
  } catch (error) {
    if (error instanceof ConnectionUnavailable || error instanceof ApiError) return { problem: error.code }
    throw error
  }
}

const text = (v: unknown) => (typeof v === 'string' ? v : undefined)

/** Row fields beside the status are not documented: shown where they are there. */
function merge(row: Record<string, unknown>, local: readonly ParticipantsTable[]): ParticipantRow {
  const id = text(row['id']) ?? text(row['participant_id']) ?? ''
  const heard = local.find(l => l.participant_id === id)
  return {
    id,
    name: text(row['name']) ?? heard?.name ?? id,
    status: text(row['application_status']) ?? heard?.application_status ?? '',
    change: heard && { type: heard.last_type, at: heard.updated_at },
  }
}

const localRow = (row: ParticipantsTable): ParticipantRow => ({
  id: row.participant_id,
  name: row.name ?? row.participant_id,
  status: row.application_status ?? '',
  change: { type: row.last_type, at: row.updated_at },
})
