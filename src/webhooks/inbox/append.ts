import { sql } from 'kysely'
import type { Database, Queries } from '../../storage/database.ts'
import type { Platform } from '../../storage/schema.ts'
import { integer, records, text } from '../../storage/sql.ts'
import type { SqliteFile } from '../../storage/sqlite/sqlite.ts'
import type { Envelope } from '../verify/provider.ts'

/** A verified delivery on its way in. `receivedAt` in milliseconds since 1970; `body` exactly as signed. */
export interface Incoming {
  readonly provider: string
  /** Whose secret it was signed with: what the sandbox sends touches nothing of the real platform. */
  readonly platform: Platform
  /** Lower case; null where the sender gave none. Unsigned. */
  readonly deliveryId: string | null
  readonly envelope: Envelope
  readonly receivedAt: number
  readonly body: Uint8Array
}

/** Commits these all or none, and gives their ids in their order. */
export type Append = (deliveries: readonly Incoming[]) => Promise<number[]>

export const appendTo = (database: Database): Append =>
  database.kind === 'sqlite'
    ? deliveries => database.exclusively(file => deliveries.map(delivery => insert(file, delivery)))
    : deliveries => insertAll(database.query, deliveries)

const INSERT = `insert into inbox
  (provider, delivery_id, envelope_id, type, event_id, organization_id, state, attempts, next_at, received_at, body,
  platform) values (?, ?, ?, ?, ?, ?, 'pending', 0, 0, ?, ?, ?)`

function insert(file: SqliteFile, d: Incoming): number {
  const { id, type, eventId, organizationId } = d.envelope
  const { lastInsertRowid } = file
    .prepare(INSERT)
    .run(d.provider, d.deliveryId, id, type, eventId, organizationId, d.receivedAt, d.body, d.platform)
  return Number(lastInsertRowid)
}

/** One statement and one round trip, whose text never changes; the bodies go as they are, one after another. */
async function insertAll(query: Queries, deliveries: readonly Incoming[]): Promise<number[]> {
  let from = 1
  const rows = deliveries.map(({ provider, platform, deliveryId, envelope, receivedAt, body }) => {
    const { id, type, eventId, organizationId } = envelope
    const row = {
      provider,
      platform,
      deliveryId,
      id,
      type,
      eventId,
      organizationId,
      receivedAt,
      from,
      bytes: body.length,
    }
    from += body.length
    return row
  })
  const bodies = Buffer.concat(deliveries.map(({ body }) => body))
  const inserted = await sql<{
    id: number
  }>`insert into inbox (provider, delivery_id, envelope_id, type, event_id,
      organization_id, state, attempts, next_at, received_at, platform, body)
    select ${text('provider')}, ${text('deliveryId')}, ${text('id')}, ${text('type')}, ${text('eventId')},
      ${text('organizationId')}, 'pending', 0, 0, ${integer('receivedAt')},
      ${text('platform')},
      substr(cast(${bodies} as bytea), cast(r.value ->> 'from' as int), cast(r.value ->> 'bytes' as int))
    from ${records(rows)} returning id`.execute(query)
  return inserted.rows.map(row => row.id)
}
