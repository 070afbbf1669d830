import { DELETION_REQUIRED } from '../revento/platform.ts'
import type { Runtime } from '../runtime.ts'
import type { Queries } from './database.ts'
import { alone, eventLock, isPostgres, together } from './dialect.ts'
import type { ParticipantsTable } from './schema.ts'
import { transaction } from './transaction.ts'

/** What a webhook says of a participant; undefined members leave what is stored as it is. */
export interface ParticipantChange {
  readonly eventId: string
  readonly participantId: string
  readonly name?: string | undefined
  readonly applicationStatus?: string | undefined
  /** The event's type and ISO time: an older event than the one stored changes nothing. */
  readonly type: string
  readonly occurredAt: string
}

/** The local data of an event, kept from its webhooks. */
export interface EventData {
  saveParticipant(change: ParticipantChange): Promise<void>
  participants(eventId: string): Promise<ParticipantsTable[]>
  /**
   * Removes everything personal that is stored for an event: payloads and errors in the inbox, participants, tokens.
   * What stays of a delivery is its type, times and state.
   */
  erase(eventId: string): Promise<void>
}

export function createEventData(query: Queries, runtime: Pick<Runtime, 'now'>): EventData {
  return {
    saveParticipant: change =>
      // One transaction: an erasure between the look and the write would be undone.
      transaction(query, async trx => {
        await together(trx, [eventLock(change.eventId)])
        const erased = await erasedEvents(trx, [{ event_id: change.eventId }])
        if (erased.size === 0) await upsertParticipant(trx, change, runtime.now())
      }),
    participants: eventId =>
      query
        .selectFrom('participants')
        .selectAll()
        .where('event_id', '=', eventId)
        .orderBy('updated_at', 'desc')
        .limit(200)
        .execute(),
    async erase(eventId) {
      await transaction(query, async trx => {
        await alone(trx, eventLock(eventId))
        const erased_at = runtime.now()
        await trx
          .insertInto('erased_events')
          .values({ event_id: eventId, erased_at })
          .onConflict(c => c.column('event_id').doUpdateSet({ erased_at }))
          .execute()
        await dropDeliveries(trx, eventId)
        const deliveries = trx.selectFrom('inbox').select('id').where('event_id', '=', eventId)
        await trx
          .updateTable('attempts')
          .set({ error: null, calls: null })
          .where('inbox_id', 'in', deliveries)
          .execute()
        await trx.deleteFrom('inline_answers').where('event_id', '=', eventId).execute()
        await trx.deleteFrom('participants').where('event_id', '=', eventId).execute()
        await trx.deleteFrom('flows').where('event_id', '=', eventId).execute()
        await endConnections(trx, eventId, erased_at)
      })
      // PostgreSQL: what came and was claimed beside that transaction was not seen by it, nor it by the claim.
      if (!isPostgres(query)) return
      await transaction(query, async trx => {
        await alone(trx, eventLock(eventId))
        if ((await erasedEvents(trx, [{ event_id: eventId }])).size > 0) await dropDeliveries(trx, eventId)
      })
    },
  }
}

/** An erasure's own delivery is still running, and may have to run again; it loses its body when it is done. */
async function dropDeliveries(trx: Queries, eventId: string): Promise<void> {
  await trx
    .updateTable('inbox')
    .set({ body: null, last_error: null })
    .where('event_id', '=', eventId)
    .where('type', '<>', DELETION_REQUIRED)
    .where(eb => eb('body', 'is not', null).or('last_error', 'is not', null))
    .execute()
}

async function endConnections(query: Queries, eventId: string, now: number): Promise<void> {
  await query
    .updateTable('connections')
    .set(eb => ({
      state: 'deleted',
      reason: 'data_deletion_required',
      access_token: null,
      refresh_token: null,
      version: eb('version', '+', 1),
      updated_at: now,
    }))
    .where('event_id', '=', eventId)
    .execute()
}

async function upsertParticipant(query: Queries, change: ParticipantChange, now: number): Promise<void> {
  const known = {
    ...(change.name === undefined ? {} : { name: change.name }),
    ...(change.applicationStatus === undefined ? {} : { application_status: change.applicationStatus }),
    last_type: change.type,
    occurred_at: change.occurredAt,
    updated_at: now,
  }
  const key = { event_id: change.eventId, participant_id: change.participantId }
  await query
    .insertInto('participants')
    .values({ ...key, name: null, application_status: null, ...known })
    // Deliveries come in any order: the time they speak of decides, not the time they came.
    .onConflict(c =>
      c
        .columns(['event_id', 'participant_id'])
        .doUpdateSet(known)
        .where('participants.occurred_at', '<=', change.occurredAt),
    )
    .execute()
}

/** Webhooks may still be under way when an event's data has been erased; they must not bring it back. */
export async function erasedEvents(
  query: Queries,
  rows: readonly { event_id: string | null }[],
): Promise<Set<string>> {
  const eventIds = [...new Set(rows.flatMap(row => row.event_id ?? []))]
  if (eventIds.length === 0) return new Set()
  const erased = await query
    .selectFrom('erased_events')
    .select('event_id')
    .where('event_id', 'in', eventIds)
    .execute()
  return new Set(erased.map(row => row.event_id))
}
