import type { ApplicationStatus } from '../revento/platform.ts'
import type { HandlerStore } from './context.ts'

interface ParticipantEvent {
  readonly type: string
  readonly occurred_at: string
  readonly event_id: string | null
  readonly data: Record<string, unknown>
}

/** One spelling for a moment, so that texts compare as times. */
const comparable = (iso: string) =>
  Number.isNaN(Date.parse(iso)) ? iso : new Date(Date.parse(iso)).toISOString()

const text = (v: unknown) => (typeof v === 'string' && v.length > 0 ? v.slice(0, 200) : undefined)

/**
 * Notes what an event says of a participant. Only `participant_id` is documented, and for one type: the other
 * members are taken where they are there.
 */
export async function saveParticipant(
  store: Pick<HandlerStore, 'saveParticipant'>,
  event: ParticipantEvent,
  status?: ApplicationStatus,
): Promise<void> {
  const ownId = event.type.startsWith('participant.') ? text(event.data['id']) : undefined
  const participantId = text(event.data['participant_id']) ?? ownId
  if (event.event_id === null || participantId === undefined) return
  await store.saveParticipant({
    eventId: event.event_id,
    participantId,
    name: text(event.data['name']),
    applicationStatus: status ?? text(event.data['application_status']),
    type: event.type,
    occurredAt: comparable(event.occurred_at),
  })
}
