import type { Log } from '../log.ts'
import type { Runtime } from '../runtime.ts'
import type { Connection, Connections } from './connections.ts'

const DAY_MS = 24 * 3_600_000
const WARN_BEFORE_MS = 7 * DAY_MS

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
    const ending = await o.connections.endingBefore(runtime.now() + WARN_BEFORE_MS).catch(err => {
      o.log.error({ part: 'oauth', err }, 'cannot look for connections that end soon')
      return []
    })
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
    await runtime.sleep(DAY_MS, signal).catch(() => {})
  }
}

/** Where an organizer gives consent again. */
export const connectUrl = (origin: string, eventId: string) => `${origin}/connect?event_id=${eventId}`
