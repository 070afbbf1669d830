import type { ConnectionState, Platform } from '../storage/schema.ts'
import type { Connection, ConnectionKey, Connections } from './connections.ts'

/** Whether an organizer sees what is stored of a connection in this state. After an ending: its state and no more. */
const SHOWS_ROWS: Readonly<Record<ConnectionState, boolean>> = {
  connected: true,
  reconsent: true,
  suspended: true,
  revoked: false,
  deleted: false,
}

/**
 * Says that its holder may see what is stored of one (platform, event, organization). The store asks for one wherever
 * it reads or changes rows for an organizer, and `entitlement` is the only one that makes any.
 */
class Grant implements ConnectionKey {
  // A private member: no other object has this type.
  readonly #connection: Connection
  constructor(connection: Connection) {
    this.#connection = connection
  }
  get platform(): Platform {
    return this.#connection.platform
  }
  get eventId(): string {
    return this.#connection.eventId
  }
  get organizationId(): string {
    return this.#connection.organizationId
  }
}

export type { Grant }

/** What the holder of a session may see. */
export interface Entitlement {
  /** What was connected in this browser, the newest first. The state may be told, whichever it is. */
  readonly connections: readonly Connection[]
  /** Those of them whose rows may be seen, in the same order. */
  readonly grants: readonly Grant[]
}

/**
 * The one place that decides. `keys` are those of a live session of this platform (see status/session.ts); `find` reads
 * connections of this platform only. A delivery that names no organization belongs to nobody here: the operator sees it.
 */
export async function entitlement(
  find: Connections['find'],
  keys: readonly ConnectionKey[],
): Promise<Entitlement> {
  const found = await Promise.all(keys.map(find))
  const connections = found.filter(c => c !== undefined).toSorted((a, b) => b.connectedAt - a.connectedAt)
  return { connections, grants: connections.filter(c => SHOWS_ROWS[c.state]).map(c => new Grant(c)) }
}

export const isSame = (a: ConnectionKey) => (b: ConnectionKey) =>
  a.eventId === b.eventId && a.organizationId === b.organizationId

/** The grant for this connection, if there is one. */
export const grantFor = ({ grants }: Entitlement, key: ConnectionKey): Grant | undefined =>
  grants.find(isSame(key))
