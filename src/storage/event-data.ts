import { sql } from 'kysely'
import type { Runtime } from '../process/runtime.ts'
import { momentOf } from '../revento/events.ts'
import type { Queries } from './database.ts'
import { erasedAmong, isOf, type Owner } from './erasures.ts'
import { documented, encoded, PARTICIPANT_ID, taking } from './participant-rows.ts'
import type { ParticipantRecord, ParticipantsTable } from './schema.ts'
import { eventLock, lockShared, transaction } from './sql.ts'

/** What a webhook says about a participant. Undefined members leave the stored values as they are. */
export interface ParticipantChange {
  readonly participantId: string
  readonly name?: string | undefined
  readonly applicationStatus?: string | undefined
  readonly type: string
  /** The time in the envelope. For each fact the latest counts, in whatever order deliveries come. */
  readonly occurredAt: string
  /** The resource as the event gives it. `isTheirs` says that it is the participant, and not the application. */
  readonly snapshot?: Readonly<Record<string, unknown>>
  readonly isTheirs?: boolean
}

/** The delivery that brings a change. */
interface Source {
  readonly id: number
  readonly eventId: string
  /** Null where the delivery names no organization. */
  readonly organizationId: string | null
}

/** What webhooks said about the participants of each (event, organization). */
export interface EventData {
  saveParticipant(source: Source, change: ParticipantChange): Promise<void>
  participants(of: Pick<Source, 'eventId' | 'organizationId'>): Promise<ParticipantRecord[]>
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
      // Look and write are one transaction, or the write would undo an erasure that came between.
      transaction(query, async trx => {
        await lockShared(trx, [eventLock(source.eventId)])
        const erased = await erasedAmong(trx, [{ ...source, platform, type: change.type }])
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
  change: ParticipantChange,
  now: number,
): Promise<void> {
  const { participantId, name, applicationStatus, type, occurredAt } = change
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
  const saved = await trx
    .insertInto('participants')
    .values({ ...row, first_seen_at: now })
    .onConflict(c =>
      c.columns(['platform', 'event_id', 'organization_id', 'participant_id']).doUpdateSet({
        ...latest('name', 'name_at', 'name_delivery'),
        ...latest('application_status', 'status_at', 'status_delivery'),
        ...latest('last_type', 'occurred_at', 'last_delivery'),
        gone_at: sql`case when excluded.occurred_at > participants.gone_at then null else participants.gone_at end`,
        updated_at: now,
      }),
    )
    .returning(['data', 'data_at', 'data_delivery'])
    .executeTakeFirstOrThrow()
  await saveSnapshot(trx, owner, { change, saved, delivery, at })
}

interface Saving {
  readonly change: ParticipantChange
  readonly saved: Pick<ParticipantRecord, 'data' | 'data_at' | 'data_delivery'>
  readonly delivery: number
  readonly at: string
}

/**
 * Brings the stored row up to the event, unless a page or an event of a later moment has done so. A snapshot changes only
 * members that the row has already, since an application has others. The row belongs to the older of its two sources, so
 * that an erasure that reaches that one takes all of it.
 */
async function saveSnapshot(trx: Queries, owner: Owner, o: Saving): Promise<void> {
  const { snapshot, isTheirs, participantId, applicationStatus } = o.change
  const { data: stored, data_at, data_delivery } = o.saved
  if (snapshot === undefined || (stored === null && !isTheirs)) return
  if (data_at !== null && o.at <= data_at) return
  const said = { ...snapshot, ...(applicationStatus && { application_status: applicationStatus }) }
  const data =
    stored === null ? { ...snapshot, [PARTICIPANT_ID]: participantId } : taking(JSON.parse(stored), said)
  const text = encoded(data)
  if (text === stored) return
  await trx
    .updateTable('participants')
    .set({ data: text, data_at: o.at, data_delivery: data_delivery ?? o.delivery, ...documented(data) })
    .where(isOf(owner))
    .where('participant_id', '=', participantId)
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
