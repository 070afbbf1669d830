import type { Queries } from '../storage/database.ts'
import type { DeliveryState } from '../storage/schema.ts'

/** A delivery as the page, /deliveries and the operator's list show it. Times are ISO 8601 UTC. */
export interface DeliveryView {
  readonly id: string
  readonly provider: string
  readonly delivery_id: string | null
  readonly type: string
  readonly event_id: string | null
  readonly state: DeliveryState
  readonly attempts: number
  readonly received_at: string
  readonly finished_at: string | null
  readonly last_error: string | null
  readonly duplicate_of: string | null
}

export interface Deliveries {
  /** The newest deliveries of these events, newest first. */
  ofEvents(eventIds: readonly string[], limit: number): Promise<DeliveryView[]>
}

export function createDeliveries(query: Queries): Deliveries {
  return {
    async ofEvents(eventIds, limit) {
      if (eventIds.length === 0) return []
      const rows = await query
        .selectFrom('inbox')
        .select(['id', 'provider', 'delivery_id', 'type', 'event_id', 'state', 'attempts'])
        .select(['received_at', 'finished_at', 'last_error', 'duplicate_of'])
        .where('event_id', 'in', eventIds)
        .orderBy('id', 'desc')
        .limit(limit)
        .execute()
      return rows.map(row => ({
        ...row,
        id: String(row.id),
        received_at: iso(row.received_at),
        finished_at: row.finished_at === null ? null : iso(row.finished_at),
        duplicate_of: row.duplicate_of === null ? null : String(row.duplicate_of),
      }))
    },
  }
}

const iso = (ms: number) => new Date(ms).toISOString()
