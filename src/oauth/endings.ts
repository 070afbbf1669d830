import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { ApiError, type EventApi } from '../revento/api.ts'
import { ConnectionUnavailable } from './access-token.ts'
import { connectUrl } from './connect.route.ts'
import type { Connection, ConnectionKey, Connections } from './connections.ts'

const DAY_MS = 24 * 3_600_000
const WARN_BEFORE_MS = 7 * DAY_MS
const PAUSE_MS = 10

/** Whether the connection ends within a week: after 90 unused days or a year, unless its organizer consents anew. */
export const endsSoon = ({ state, refreshExpiresAt }: Connection, now: number): boolean =>
  state === 'connected' && refreshExpiresAt - now < WARN_BEFORE_MS

/** Logs at start and once a day each connection that ends within a week, with the link for its organizer. */
export async function watchEndings(
  o: { connections: Connections; log: Log; origin: string },
  runtime: Runtime,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await logEndings(o, runtime, signal).catch(err => {
      if (!signal.aborted) o.log.error({ part: 'oauth', err }, 'cannot look for connections that end soon')
    })
    await runtime.sleep(DAY_MS, signal).catch(() => {})
  }
}

/** Reads a page at a time; the pause lets other work run in between. */
async function logEndings(
  o: { connections: Connections; log: Log; origin: string },
  runtime: Runtime,
  signal: AbortSignal,
): Promise<void> {
  const before = runtime.now() + WARN_BEFORE_MS
  for (let last: Connection | undefined; ; ) {
    const ending = await o.connections.endingBefore(before, last)
    for (const { eventId, organizationId, refreshExpiresAt } of ending)
      o.log.warn(
        {
          part: 'oauth',
          event_id: eventId,
          organization_id: organizationId,
          ends_at: new Date(refreshExpiresAt).toISOString(),
          connect_url: connectUrl(o.origin, eventId),
        },
        'connection ends soon: send the link to its organizer',
      )
    last = ending.at(-1)
    if (!last) return
    await runtime.sleep(PAUSE_MS, signal)
  }
}

const EVERY_MS = 60_000

interface KeepAliveOptions {
  readonly connections: Pick<Connections, 'toAsk'>
  readonly api: (key: ConnectionKey) => EventApi
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
}

/** Every minute or two, makes a call with a connection that would end unused, or may be suspended no longer. */
export async function watchUnused(o: KeepAliveOptions, runtime: Runtime, signal: AbortSignal): Promise<void> {
  for (;;) {
    const jitter = (runtime.bytes(1)[0] ?? 0) / 256
    await runtime.sleep(EVERY_MS * (1 + jitter), signal).catch(() => {})
    if (signal.aborted) return
    await askOne(o).catch(err =>
      o.log.error({ part: 'oauth', err }, 'cannot look for connections to keep alive'),
    )
  }
}

async function askOne({ connections, api, log }: KeepAliveOptions): Promise<void> {
  const connection = await connections.toAsk()
  if (!connection) return
  const { eventId, organizationId, state } = connection
  const fields = { part: 'oauth', event_id: eventId, organization_id: organizationId, state }
  try {
    await cheapestCall(api(connection), connection)
    log.info(fields, 'called Revento to keep the connection')
  } catch (err) {
    if (!(err instanceof ApiError || err instanceof ConnectionUnavailable)) throw err
    log.warn({ ...fields, err }, 'called Revento to keep the connection, in vain')
  }
}

function cheapestCall(api: EventApi, { scopes }: Connection): Promise<unknown> {
  if (scopes.length === 0 || scopes.includes('event.read')) return api.event()
  return scopes.includes('participants.read') ? api.participants({ limit: 1 }) : api.program()
}
