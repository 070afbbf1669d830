import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { ApiError, type EventApi } from '../revento/api.ts'
import { ConnectionUnavailable } from './access-token.ts'
import type { Connection, ConnectionKey, Connections } from './connections.ts'

const EVERY_MS = 60_000

export interface KeepAliveOptions {
  readonly connections: Pick<Connections, 'toAsk'>
  readonly api: (key: ConnectionKey) => EventApi
  readonly log: Pick<Log, 'info' | 'warn' | 'error'>
}

/** Every minute or so: an ordinary call with a connection that would end unused, or may be suspended no longer. */
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

export async function askOne({ connections, api, log }: KeepAliveOptions): Promise<void> {
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
