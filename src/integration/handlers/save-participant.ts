import type { HandlerStore } from '../../builder/context.ts'
import type { ApplicationStatus } from '../../revento/platform.ts'

interface ParticipantEvent {
  readonly type: string
  readonly occurred_at: string
  readonly data: Record<string, unknown>
}

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
  if (participantId === undefined) return
  await store.saveParticipant({
    participantId,
    name: text(event.data['name']),
    applicationStatus: status ?? text(event.data['application_status']),
    type: event.type,
    occurredAt: event.occurred_at,
  })
}
