import type { ConnectionState, Platform } from '../storage/schema.ts'
import type { Connection, ConnectionKey, Connections } from './connections.ts'

/** Whether an organizer sees the stored rows of a connection in this state. After its end only the state is shown. */
const SHOWS_ROWS: Readonly<Record<ConnectionState, boolean>> = {
  connected: true,
  reconsent: true,
  suspended: true,
  revoked: false,
  deleted: false,
}

/**
 * The permission to see what is stored of one (platform, event, organization). The store demands a Grant wherever it
 * reads or changes rows for an organizer, and only `entitlement` makes them.
 */
class Grant implements ConnectionKey {
  // Because of the private member no other object has this type.
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

/** What a session may see. */
export interface Entitlement {
  /** The connections made in this browser, the newest first. Their state may always be shown. */
  readonly connections: readonly Connection[]
  /** Grants for those whose rows may be seen, in the same order. */
  readonly grants: readonly Grant[]
}

/**
 * The one place that decides what a session may see. `keys` come from a live session of this platform (see sessions.ts),
 * and `find` reads connections of this platform only. A delivery without an organization is shown to the operator only.
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

export const grantFor = ({ grants }: Entitlement, key: ConnectionKey): Grant | undefined =>
  grants.find(isSame(key))
