import { sql } from 'kysely'
import type { Queries } from '../../storage/database.ts'
import { isOf, type Owner } from '../../storage/erasures.ts'
import type { Platform } from '../../storage/schema.ts'
import { ids, isOpen, isPostgres, transaction } from '../../storage/sql.ts'

/** How many rows one statement wakes, which blocks the event loop for a few milliseconds with SQLite. */
export const WAKE_BATCH = 500
/** No more is woken while this many wait for a handler: a million at once would fill the backlog, and refuse webhooks. */
const MOST_DUE = 2_000

/** The state is a literal, so that the index of parked rows is used. */
const parked = sql<boolean>`outcomes.state = 'parked'`

/** Yields the connected events of a platform that have parked deliveries, at the same cost however many they have. */
export async function* parkedAndConnected(query: Queries, platform: Platform): AsyncGenerator<Owner> {
  for (let last: Owner = { platform, event_id: '', organization_id: '' }; ; ) {
    const key = await nextKey(query, last)
    if (!key) return
    const connection = await query
      .selectFrom('connections')
      .select('state')
      .where(isOf(key))
      .where('state', '=', 'connected')
      .executeTakeFirst()
    if (connection) yield key
    last = key
  }
}

async function nextKey(
  query: Queries,
  { platform, event_id, organization_id }: Owner,
): Promise<Owner | undefined> {
  const next = query
    .selectFrom('outcomes')
    .select(['event_id', 'organization_id'])
    .where(parked)
    .where('platform', '=', platform)
    .where(sql<boolean>`(event_id, organization_id) > (${event_id}, ${organization_id})`)
    .orderBy('event_id')
    .orderBy('organization_id')
    .limit(1)
  const row = await next.executeTakeFirst()
  // Both ids are set: a delivery that belongs to no connection is never parked.
  return row && { platform, event_id: row.event_id ?? '', organization_id: row.organization_id ?? '' }
}

/** Makes the oldest parked ones due, and resolves with how many. Fewer than WAKE_BATCH: all others are locked, or none. */
export function wakeBatch(query: Queries, key: Owner, now: number): Promise<number> {
  return transaction(query, async trx => {
    const rows = await trx
      .selectFrom('outcomes')
      .select('id')
      .where(parked)
      .where(isOf(key))
      .orderBy('id')
      .limit(WAKE_BATCH)
      .$if(isPostgres(trx), select => select.forUpdate().skipLocked())
      .execute()
    if (rows.length === 0) return 0
    await trx
      .updateTable('outcomes')
      .set({ state: 'pending', next_at: now })
      .where('id', 'in', ids(rows.map(row => row.id)))
      .execute()
    return rows.length
  })
}

/** Whether handlers have so much to do that more would only wait elsewhere. */
export async function isBusy(query: Queries, platform: Platform, now: number): Promise<boolean> {
  const due = query
    .selectFrom('outcomes')
    .select('id')
    .where(isOpen)
    .where('platform', '=', platform)
    .where('next_at', '>', 0)
  const last = due
    .where('next_at', '<=', now)
    .orderBy('next_at')
    .offset(MOST_DUE - 1)
    .limit(1)
  return (await last.execute()).length > 0
}
