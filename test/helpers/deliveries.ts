import type { Insertable } from 'kysely'
import type { Queries } from '../../src/storage/database.ts'
import type { DeliveriesTable, OutcomesTable } from '../../src/storage/schema.ts'

export type NewRow = Partial<Insertable<DeliveriesTable> & Omit<OutcomesTable, 'crashes'>> & {
  readonly crashes?: number
}

/** Stores a row of the view `inbox` and returns its id. Without other values the delivery was done at its first run. */
export async function insertDelivery(query: Queries, row: NewRow = {}): Promise<number> {
  const [id = 0] = await insertDeliveries(query, [row])
  return id
}

/** Stores many such rows with two statements, and returns their ids. */
export async function insertDeliveries(query: Queries, rows: readonly NewRow[]): Promise<number[]> {
  const inserted = await query.insertInto('deliveries').values(rows.map(deliveryOf)).returning('id').execute()
  await query
    .insertInto('outcomes')
    .values(inserted.map(({ id }, n) => ({ ...outcomeOf(rows[n] ?? {}), id })))
    .execute()
  return inserted.map(({ id }) => id)
}

const keysOf = ({ platform = 'real', event_id = null, organization_id = null }: NewRow) => ({
  platform,
  event_id,
  organization_id,
})

function deliveryOf(row: NewRow) {
  const { id, provider = 'revento', delivery_id = null, envelope_id = 'evt_x', type = 'a.b' } = row
  const { received_at = 0, body = null, headers = null } = row
  return {
    ...keysOf(row),
    ...(id === undefined ? {} : { id }),
    ...{ provider, delivery_id, envelope_id, type, received_at, body, headers },
  }
}

function outcomeOf(row: NewRow) {
  const { state = 'done', attempts = 1, next_at = 0, crashes = 0 } = row
  const { lease_owner = null, finished_at = null, last_error = null, duplicate_of = null } = row
  return {
    ...keysOf(row),
    ...{ state, attempts, next_at, crashes },
    ...{ lease_owner, finished_at, last_error, duplicate_of },
  }
}
