import type { Insertable } from 'kysely'
import type { Queries } from '../../src/storage/database.ts'
import type { DeliveriesTable, OutcomesTable } from '../../src/storage/schema.ts'

export type NewRow = Partial<Insertable<DeliveriesTable> & Omit<OutcomesTable, 'crashes'>> & {
  readonly crashes?: number
}

/** Stores a row of the view `inbox`; gives its id. Done at the first run, where nothing else is said. */
export async function insertDelivery(query: Queries, row: NewRow = {}): Promise<number> {
  const { id, provider = 'revento', delivery_id = null, envelope_id = 'evt_x', type = 'a.b' } = row
  const { received_at = 0, body = null, headers = null, ...outcome } = row
  const keys = {
    platform: row.platform ?? 'real',
    event_id: row.event_id ?? null,
    organization_id: row.organization_id ?? null,
  } as const
  const inserted = await query
    .insertInto('deliveries')
    .values({
      ...keys,
      ...(id === undefined ? {} : { id }),
      ...{ provider, delivery_id, envelope_id, type, received_at, body, headers },
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  const { state = 'done', attempts = 1, next_at = 0, crashes = 0 } = outcome
  const { lease_owner = null, finished_at = null, last_error = null, duplicate_of = null } = outcome
  await query
    .insertInto('outcomes')
    .values({
      ...keys,
      ...{ id: inserted.id, state, attempts, next_at, crashes },
      ...{ lease_owner, finished_at, last_error, duplicate_of },
    })
    .execute()
  return inserted.id
}
