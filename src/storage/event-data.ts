import { sql } from 'kysely'
import type { Runtime } from '../process/runtime.ts'
import { momentOf } from '../revento/events.ts'
import type { Queries } from './database.ts'
import { erasedAmong, isOf, type Owner } from './erasures.ts'
import type { ParticipantsTable } from './schema.ts'
import { eventLock, lockShared, transaction } from './sql.ts'

/** What a webhook says about a participant. Undefined members leave the stored values as they are. */
export interface ParticipantChange {
  readonly participantId: string
  readonly name?: string | undefined
  readonly applicationStatus?: string | undefined
  readonly type: string
  /** The time in the envelope. For each fact the latest counts, in whatever order deliveries come. */
  readonly occurredAt: string
}

/** The delivery that brings a change. */
export interface Source {
  readonly id: number
  readonly eventId: string
  /** Null where the delivery names no organization. */
  readonly organizationId: string | null
}

/** What webhooks said about the participants of each (event, organization). */
export interface EventData {
  saveParticipant(source: Source, change: ParticipantChange): Promise<void>
  participants(of: Pick<Source, 'eventId' | 'organizationId'>): Promise<ParticipantsTable[]>
}

export function createEventData(
  query: Queries,
  runtime: Pick<Runtime, 'now'>,
  platform: Owner['platform'],
): EventData {
  const ownerOf = ({ eventId, organizationId }: Pick<Source, 'eventId' | 'organizationId'>) => ({
    platform,
    event_id: eventId,
    organization_id: organizationId ?? '',
  })
  return {
    saveParticipant: (source, change) =>
      // In one transaction, or this write would undo an erasure that came between.
      transaction(query, async trx => {
        await lockShared(trx, [eventLock(source.eventId)])
        const erased = await erasedAmong(trx, [source.id])
        if (erased.size === 0) await upsert(trx, ownerOf(source), source.id, change, runtime.now())
      }),
    participants: of =>
      query
        .selectFrom('participants')
        .selectAll()
        .where(isOf(ownerOf(of)))
        .orderBy('updated_at', 'desc')
        .limit(200)
        .execute(),
  }
}

async function upsert(
  trx: Queries,
  owner: Owner,
  delivery: number,
  { participantId, name, applicationStatus, type, occurredAt }: ParticipantChange,
  now: number,
): Promise<void> {
  const moment = momentOf(occurredAt)
  // A moment has one spelling, so that texts compare as times. A fact without a time is older than any with one.
  const at = moment === undefined ? '' : new Date(moment).toISOString()
  const row = {
    ...owner,
    participant_id: participantId,
    ...(name !== undefined && { name, name_at: at, name_delivery: delivery }),
    ...(applicationStatus !== undefined && {
      application_status: applicationStatus,
      status_at: at,
      status_delivery: delivery,
    }),
    ...{ last_type: type, occurred_at: at, last_delivery: delivery, updated_at: now },
  }
  await trx
    .insertInto('participants')
    .values(row)
    .onConflict(c =>
      c.columns(['platform', 'event_id', 'organization_id', 'participant_id']).doUpdateSet({
        ...latest('name', 'name_at', 'name_delivery'),
        ...latest('application_status', 'status_at', 'status_delivery'),
        ...latest('last_type', 'occurred_at', 'last_delivery'),
        updated_at: now,
      }),
    )
    .execute()
}

type Column = keyof ParticipantsTable

/** The later fact wins, and of two at one moment the one that sorts last: every order of deliveries gives the same row. */
function latest(fact: Column, at: Column, delivery: Column) {
  const before = (column: Column) => sql.ref(`participants.${column}`)
  const now = (column: Column) => sql.ref(`excluded.${column}`)
  const wins = sql`${now(fact)} is not null and (${before(fact)} is null
    or (${now(at)}, ${now(fact)}) > (${before(at)}, ${before(fact)}))`
  return Object.fromEntries(
    [fact, at, delivery].map(column => [
      column,
      sql`case when ${wins} then ${now(column)} else ${before(column)} end`,
    ]),
  )
}
