import { type AccessTokens, ConnectionUnavailable } from '../oauth/access-token.ts'
import { connectUrl } from '../oauth/connect.route.ts'
import type { Connection, ConnectionKey, Connections } from '../oauth/connections.ts'
import type { ApiClient, EventApi } from '../revento/api.ts'
import type { Queries } from '../storage/database.ts'
import { type Activities, createActivities } from './activities.ts'
import { createParticipants, type Participants } from './participants.ts'

/** Revento for code outside handlers: jobs, routes, and scripts with `openRevento`. */
export interface Revento {
  /** The connections that have not ended, sorted by event and organization. */
  connections(): Promise<Connection[]>
  /** `organizationId` is needed only where several organizations have connected this event. Throws NotUsable. */
  event(eventId: string, organizationId?: string): Promise<ConnectedEvent>
}

export interface ConnectedEvent extends ConnectionKey {
  readonly connection: Connection
  /** Has a live token, and keeps to the limits that all processes share: a call waits for its turn. */
  readonly api: EventApi
  readonly participants: Participants
  readonly activities: Activities
}

/** A connection that cannot be used now. The message says who has to do what, with the link. */
export class NotUsable extends Error {
  override readonly name = 'NotUsable'
  readonly eventId: string
  /** The link with which the organizer connects again; undefined where that does not help. */
  readonly connectUrl: string | undefined
  constructor(message: string, eventId: string, o: { url?: string; cause?: ConnectionUnavailable } = {}) {
    super(message, { cause: o.cause })
    this.eventId = eventId
    this.connectUrl = o.url
  }
}

export interface ReventoParts {
  readonly query: Queries
  readonly connections: Pick<Connections, 'list'>
  readonly accessTokens: Pick<AccessTokens, 'use'>
  readonly apiClient: ApiClient
  readonly origin: string
}

/** A call waits this long for its turn: nobody waits for a page here, and the next hour brings a new budget. */
const PATIENCE_MS = 2 * 3_600_000

/** `about` says in the log whose calls these are. `patienceMs` is how long a call may wait for its turn. */
export function createRevento(
  o: ReventoParts,
  about: object,
  { signal, patienceMs = PATIENCE_MS }: { signal?: AbortSignal; patienceMs?: number } = {},
): Revento {
  const apiOf = (key: ConnectionKey) =>
    o.apiClient.forEvent(
      key,
      (call, scope) => o.accessTokens.use(key, call, { scope }).catch(error => rethrow(error, key)),
      { patienceMs, about, ...(signal && { signal }) },
    )

  function rethrow(error: unknown, { eventId }: ConnectionKey): never {
    if (!(error instanceof ConnectionUnavailable)) throw error
    throw notUsable(error, eventId)
  }

  function notUsable(cause: ConnectionUnavailable, eventId: string): NotUsable {
    const url = connectUrl(o.origin, eventId)
    const again = (why: string) =>
      new NotUsable(`${why}: its organizer opens ${url}`, eventId, { url, cause })
    if (cause.code === 'suspended')
      return new NotUsable(
        `Revento has suspended this app. ${eventId} goes on when that is lifted.`,
        eventId,
        { cause },
      )
    if (cause.code === 'scope_missing') return again(`${eventId} was connected without what this call needs`)
    if (cause.code === 'not_connected') return again(`${eventId} is not connected`)
    return again(`${eventId} has to be connected again`)
  }

  return {
    connections: o.connections.list,
    async event(eventId, organizationId) {
      const all = (await o.connections.list()).filter(c => c.eventId === eventId)
      const found = organizationId === undefined ? all : all.filter(c => c.organizationId === organizationId)
      const [connection, ...others] = found
      if (!connection) throw notUsable(new ConnectionUnavailable('not_connected'), eventId)
      if (others.length > 0) {
        const names = found.map(c => c.organizationId).join(', ')
        throw new NotUsable(
          `${eventId} is connected by several organizations: give one of ${names} too.`,
          eventId,
        )
      }
      const participants = createParticipants(o.query, connection.platform, connection, signal)
      const activities = createActivities(o.query, connection.platform, connection, signal)
      const key = { eventId, organizationId: connection.organizationId }
      return { ...key, connection, api: apiOf(connection), participants, activities }
    },
  }
}
