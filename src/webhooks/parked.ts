import { sql } from 'kysely'
import type { Queries } from '../storage/database.ts'

/** As a literal, for the index of what waits for a person. */
const parked = (query: Queries, now: number) =>
  query
    .updateTable('inbox')
    .set({ state: 'pending', next_at: now })
    .where('inbox.state', '=', sql.lit('parked'))

/** After a reconnect: what had waited for it is due. Says how many. */
export async function wakeParked(query: Queries, eventId: string, now: number): Promise<number> {
  const { numUpdatedRows } = await parked(query, now).where('event_id', '=', eventId).executeTakeFirst()
  return Number(numUpdatedRows)
}

/** The process that took the reconnect may have ended before it did that. */
export async function wakeForgotten(query: Queries, now: number): Promise<void> {
  await parked(query, now)
    .where(eb =>
      eb.exists(
        eb
          .selectFrom('connections')
          .select('connections.event_id')
          .whereRef('connections.event_id', '=', 'inbox.event_id')
          .whereRef('connections.organization_id', '=', 'inbox.organization_id')
          .where('connections.state', '=', 'connected'),
      ),
    )
    .execute()
}
