import type { Connection, ConnectionKey, Connections } from '../oauth/connections.ts'
import { atMost, type Runtime } from '../runtime.ts'
import type { Deliveries, DeliveryView } from '../webhooks/deliveries.ts'

/** What a page shows of the store. */
export interface Overview {
  /** Connected last, first. */
  readonly connections: readonly Connection[]
  /** The newest, newest first. */
  readonly deliveries: readonly DeliveryView[]
  readonly dead: readonly DeliveryView[]
  readonly parked: readonly DeliveryView[]
  /** Why nothing can be stored now: a code. */
  readonly trouble: string | undefined
}

export interface OverviewOptions {
  readonly connections: Pick<Connections, 'find'>
  readonly deliveries: Pick<Deliveries, 'ofEvents' | 'stuck'>
  /** Tries to store; see health.ts. */
  readonly trouble: () => Promise<string | undefined>
}

const SHOWN = 20
const STUCK = 100

const PATIENCE_MS = 500

/** A store that is locked is tried for seconds: nobody waits for that with an open page. */
export async function soon(runtime: Pick<Runtime, 'sleep'>, trouble: Promise<string | undefined>) {
  let code: string | undefined
  await atMost(
    runtime,
    PATIENCE_MS,
    trouble.then(known => {
      code = known
    }),
  )
  return code
}

/** Of these, what is stored; connected last, first. */
export async function stored(
  find: (key: ConnectionKey) => Promise<Connection | undefined>,
  keys: readonly ConnectionKey[],
): Promise<Connection[]> {
  const found = await Promise.all(keys.map(find))
  return found.filter(c => c !== undefined).toSorted((a, b) => b.connectedAt - a.connectedAt)
}

/** One look at the store, for any number of sessions: what several of them may see is read once. */
export function look(o: OverviewOptions, trouble: string | undefined) {
  const connection = once((_name, key: ConnectionKey) => o.connections.find(key))
  const event = once(async eventId => ({
    deliveries: await o.deliveries.ofEvents([eventId], SHOWN),
    dead: await o.deliveries.stuck(eventId, 'dead', STUCK),
    parked: await o.deliveries.stuck(eventId, 'parked', STUCK),
  }))
  return async (keys: readonly ConnectionKey[]): Promise<Overview> => {
    const connections = await stored(key => connection(`${key.eventId} ${key.organizationId}`, key), keys)
    const eventIds = [...new Set(connections.map(c => c.eventId))]
    const events = await Promise.all(eventIds.map(id => event(id, undefined)))
    const newest = (name: 'deliveries' | 'dead' | 'parked') =>
      events.flatMap(e => e[name]).toSorted((a, b) => Number(b.id) - Number(a.id))
    return {
      connections,
      deliveries: newest('deliveries').slice(0, SHOWN),
      dead: newest('dead'),
      parked: newest('parked'),
      trouble,
    }
  }
}

function once<T, K = undefined>(read: (name: string, argument: K) => Promise<T>) {
  const begun = new Map<string, Promise<T>>()
  return (name: string, argument: K): Promise<T> => {
    const reading = begun.get(name) ?? read(name, argument)
    begun.set(name, reading)
    return reading
  }
}
