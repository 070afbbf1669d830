import type { ApplicationStatus } from '../../revento/platform.ts'
import type { EventData } from '../../storage/event-data.ts'
import type { Claimed } from '../inbox/claim.ts'
import { membersOf } from '../verify/provider.ts'

/** What each of these says of an application, where it says something by its type alone. */
export const PARTICIPANT_TYPES: Readonly<Record<string, ApplicationStatus | undefined>> = {
  'application.submitted': 'pending',
  'application.approved': 'approved',
  'application.rejected': 'rejected',
  'application.revision_requested': 'revision_requested',
  'participant.registered': undefined,
  'participant.profile_updated': undefined,
}

const text = (v: unknown) => (typeof v === 'string' && v.length > 0 ? v.slice(0, 200) : undefined)

/**
 * Notes what an event says of a participant. Only `participant_id` is documented, and for one type: the other
 * members are taken where they are there.
 */
export async function keepParticipant(eventData: EventData, delivery: Claimed): Promise<void> {
  const { id, type, eventId, organizationId, body } = delivery
  if (eventId === null) return
  const { data: given, occurred_at } = membersOf(JSON.parse(Buffer.from(body ?? []).toString()))
  const data = membersOf(given)
  const ownId = type.startsWith('participant.') ? text(data['id']) : undefined
  const participantId = text(data['participant_id']) ?? ownId
  if (participantId === undefined) return
  const change = {
    participantId,
    name: text(data['name']),
    applicationStatus: PARTICIPANT_TYPES[type] ?? text(data['application_status']),
    type,
    occurredAt: String(occurred_at),
    snapshot: data,
    isTheirs: type.startsWith('participant.'),
  }
  await eventData.saveParticipant({ id, eventId, organizationId }, change)
}
