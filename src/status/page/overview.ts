import type { Connection, ConnectionKey, Connections } from '../../oauth/connections.ts'
import { type Entitlement, entitlement, type Grant, grantFor, isSame } from '../../oauth/entitlement.ts'
import type { Session } from '../../oauth/sessions.ts'
import type { Deliveries, DeliveryView } from '../../webhooks/inbox/deliveries.ts'
import { inOrder, type StatusOptions } from '../options.ts'
import { type Listing, type ListingOptions, listParticipants } from './participants.ts'
import type { Titles } from './titles.ts'
import { type View, viewQuery } from './view.ts'

export interface PageOptions extends Omit<StatusOptions, 'page'>, Pick<ListingOptions, 'people'> {
  readonly requestedScopes: readonly string[]
  readonly titles: Titles
}

/** What a page shows of the store. */
export interface Overview extends Entitlement {
  /** The newest deliveries, newest first. */
  readonly deliveries: readonly DeliveryView[]
  readonly dead: readonly DeliveryView[]
  readonly parked: readonly DeliveryView[]
  /** The connection whose participants are listed, and those of them whom the view shows. */
  readonly selected: Connection | undefined
  readonly listing: Listing | undefined
  readonly view: View
  /** The code of why nothing can be stored now. */
  readonly trouble: string | undefined
}

/** What the changing parts of the page are rendered from. */
export interface Parts extends Overview {
  readonly now: number
  readonly session: Pick<Session, 'formToken'>
  readonly requestedScopes: readonly string[]
  readonly titles: Titles
}

export interface OverviewOptions extends ListingOptions {
  readonly connections: Pick<Connections, 'find'>
  readonly deliveries: Pick<Deliveries, 'newest' | 'stuck'>
  /** See http/health. */
  readonly trouble: () => Promise<string | undefined>
}

const SHOWN = 20
const STUCK = 100

/** Reads the store for any number of sessions; rows that several of them may see are read once. */
export function look(o: OverviewOptions, trouble: string | undefined) {
  const find = once((key: ConnectionKey) => o.connections.find(key))
  const rows = once(async (grant: Grant) => ({
    deliveries: await o.deliveries.newest(grant, SHOWN),
    dead: await o.deliveries.stuck(grant, 'dead', STUCK),
    parked: await o.deliveries.stuck(grant, 'parked', STUCK),
  }))
  const listings = new Map<string, Promise<Listing>>()
  function listed(grant: Grant, view: View): Promise<Listing> {
    const name = `${grant.eventId} ${grant.organizationId} ${viewQuery(view, { after: view.after })}`
    const listing = listings.get(name) ?? listParticipants(o, grant, view)
    listings.set(name, listing)
    return listing
  }
  return async (keys: readonly ConnectionKey[], view: View): Promise<Overview> => {
    const entitled = await entitlement(find, keys)
    const selected = choose(entitled, view.eventId)
    const grant = selected && grantFor(entitled, selected)
    const [listing, ...shown] = await Promise.all([
      grant && listed(grant, view),
      ...entitled.grants.map(rows),
    ])
    return {
      ...entitled,
      ...{ selected, listing, view },
      deliveries: inOrder(shown.map(s => s.deliveries)).slice(0, SHOWN),
      dead: inOrder(shown.map(s => s.dead)),
      parked: inOrder(shown.map(s => s.parked)),
      trouble,
    }
  }
}

/** Chooses the event of the view, or else the event connected last, and prefers connections that have not ended. */
function choose(entitled: Entitlement, eventId: string | undefined): Connection | undefined {
  const { connections, grants } = entitled
  const isAsked = (key: ConnectionKey) => key.eventId === eventId
  const key = grants.find(isAsked) ?? connections.find(isAsked) ?? grants[0] ?? connections[0]
  return key && connections.find(isSame(key))
}

function once<K extends ConnectionKey, T>(read: (key: K) => Promise<T>): (key: K) => Promise<T> {
  const begun = new Map<string, Promise<T>>()
  return key => {
    const name = `${key.eventId} ${key.organizationId}`
    const reading = begun.get(name) ?? read(key)
    begun.set(name, reading)
    return reading
  }
}
