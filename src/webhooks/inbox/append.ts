import { sql } from 'kysely'
import { placeOf, type Span } from '../../process/tracing.ts'
import type { Database, Queries } from '../../storage/database.ts'
import type { Platform } from '../../storage/schema.ts'
import { isPostgres, storable } from '../../storage/sql.ts'
import type { SqliteFile } from '../../storage/sqlite/sqlite.ts'
import type { Envelope } from '../verify/provider.ts'

/** A verified delivery on its way in. `receivedAt` in milliseconds since 1970; `body` exactly as signed. */
export interface Incoming {
  readonly provider: string
  /** The platform whose secret signed it: deliveries of the sandbox touch nothing of the real platform. */
  readonly platform: Platform
  /** Lower case; null where the sender gave none. Unsigned. */
  readonly deliveryId: string | null
  readonly envelope: Envelope
  readonly receivedAt: number
  readonly body: Uint8Array
  /** The span of its request. */
  readonly span?: Span | undefined
  /** A few of its headers, as JSON. */
  readonly headers?: string | undefined
}

/** Commits all of these or none, and resolves with their ids in their order. */
export type Append = (deliveries: readonly Incoming[]) => Promise<number[]>

export const appendTo = (database: Database): Append =>
  database.kind === 'sqlite'
    ? deliveries => database.exclusively(file => insertGroup(file, deliveries))
    : deliveries => insertAll(database.query, deliveries)

/** Appends in the caller's transaction, so that the findings of a comparison are stored together with its page. */
export async function appendWithin(trx: Queries, deliveries: readonly Incoming[]): Promise<void> {
  if (deliveries.length === 0) return
  if (isPostgres(trx)) return void (await insertAll(trx, deliveries))
  const keys = await trx
    .insertInto('deliveries')
    .values(deliveries.map(columnsOf))
    .returning(['id', 'platform', 'event_id', 'organization_id'])
    .execute()
  const outcome = { state: 'pending' as const, attempts: 0, next_at: 0 }
  await trx
    .insertInto('outcomes')
    .values(keys.map(row => ({ ...row, ...outcome })))
    .execute()
}

const columnsOf = ({ envelope, ...d }: Incoming) => ({
  ...{ provider: d.provider, platform: d.platform, delivery_id: d.deliveryId, envelope_id: envelope.id },
  ...{ type: envelope.type, event_id: envelope.eventId, organization_id: envelope.organizationId },
  ...{ received_at: d.receivedAt, trace_id: receiptOf(d), headers: d.headers ?? null, body: d.body },
})

export const receiptOf = ({ span }: Pick<Incoming, 'span'>) => placeOf(span) ?? null

const DELIVERY = `insert into deliveries
  (provider, platform, delivery_id, envelope_id, type, event_id, organization_id, received_at, trace_id,
  headers, body) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
/** Adds the outcomes of a whole group, whose rows are the last ones: a statement for each costs more than its row. */
const OUTCOMES = `insert into outcomes (id, platform, event_id, organization_id, state, attempts, next_at)
  select id, platform, event_id, organization_id, 'pending', 0, 0 from deliveries where id >= ?`

function insertGroup(file: SqliteFile, deliveries: readonly Incoming[]): number[] {
  const ids = deliveries.map(delivery => insert(file, delivery))
  file.prepare(OUTCOMES).run(ids[0] ?? 0)
  return ids
}

function insert(file: SqliteFile, d: Incoming): number {
  const { id, type, eventId, organizationId } = d.envelope
  const { lastInsertRowid } = file
    .prepare(DELIVERY)
    .run(
      ...[d.provider, d.platform, d.deliveryId, id, type, eventId, organizationId, d.receivedAt],
      ...[receiptOf(d), d.headers ?? null, d.body],
    )
  return Number(lastInsertRowid)
}

/**
 * Inserts a group by one statement, whose text never changes: a parameter for each column, since JSON took twice as long
 * at the server, and all bodies as they are, one after another.
 */
async function insertAll(query: Queries, deliveries: readonly Incoming[]): Promise<number[]> {
  const column = (of: (d: Incoming) => string | number | null) => deliveries.map(d => storable(of(d)))
  const starts: number[] = []
  let next = 1
  for (const { body } of deliveries) {
    starts.push(next)
    next += body.length
  }
  const bodies = Buffer.concat(deliveries.map(({ body }) => body))
  const inserted = await sql<{
    id: number
  }>`with delivery as (insert into deliveries (provider, platform, delivery_id, envelope_id, type,
      event_id, organization_id, received_at, trace_id, headers, body)
    select provider, platform, delivery_id, envelope_id, type, event_id, organization_id, received_at, trace_id, headers,
      substr(cast(${bodies} as bytea), start, bytes)
    from unnest(cast(${column(d => d.provider)} as text[]), cast(${column(d => d.platform)} as text[]),
      cast(${column(d => d.deliveryId)} as text[]), cast(${column(d => d.envelope.id)} as text[]),
      cast(${column(d => d.envelope.type)} as text[]), cast(${column(d => d.envelope.eventId)} as text[]),
      cast(${column(d => d.envelope.organizationId)} as text[]), cast(${column(d => d.receivedAt)} as bigint[]),
      cast(${column(receiptOf)} as text[]), cast(${column(d => d.headers ?? null)} as text[]),
      cast(${starts} as int[]), cast(${column(d => d.body.length)} as int[]))
    as r (provider, platform, delivery_id, envelope_id, type, event_id, organization_id, received_at, trace_id, headers,
      start, bytes)
    returning id, platform, event_id, organization_id)
    insert into outcomes (id, platform, event_id, organization_id, state, attempts, next_at)
    select id, platform, event_id, organization_id, 'pending', 0, 0 from delivery returning id`.execute(query)
  return inserted.rows.map(row => row.id)
}
