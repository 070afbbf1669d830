import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { connectUrl } from './connect.route.ts'
import type { Connection, Connections } from './connections.ts'

const DAY_MS = 24 * 3_600_000
const WARN_BEFORE_MS = 7 * DAY_MS
const PAUSE_MS = 10

/** The end of a connection that stays unused (90 days) or is a year old; only a new consent goes beyond it. */
export const endsSoon = ({ state, refreshExpiresAt }: Connection, now: number): boolean =>
  state === 'connected' && refreshExpiresAt - now < WARN_BEFORE_MS

/** At start and once a day: a line for each connection that ends within a week, with the link for its organizer. */
export async function watchEndings(
  o: { connections: Connections; log: Log; origin: string },
  runtime: Runtime,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await tellEndings(o, runtime, signal).catch(err => {
      if (!signal.aborted) o.log.error({ part: 'oauth', err }, 'cannot look for connections that end soon')
    })
    await runtime.sleep(DAY_MS, signal).catch(() => {})
  }
}

/** A page at a time; the pause lets everybody else go first. */
async function tellEndings(
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
