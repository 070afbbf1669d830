import type { ApplicationStatus } from '../../revento/platform.ts'
import type { EventData } from '../../storage/event-data.ts'
import type { Claimed } from '../inbox/claim.ts'
import { membersOf } from '../verify/provider.ts'

/** The types of events about participants, with the application's status where the type alone says it. */
export const PARTICIPANT_TYPES: Readonly<Record<string, ApplicationStatus | undefined>> = {
  'application.submitted': 'pending',
  'application.approved': 'approved',
  'application.rejected': 'rejected',
  'application.revision_requested': 'revision_requested',
  'participant.registered': undefined,
  'participant.profile_updated': undefined,
}

const text = (v: unknown) => (typeof v === 'string' && v.length > 0 ? v.slice(0, 200) : undefined)

/** Stores what an event says of a participant, where it says it: only `participant_id` is documented, and for one type. */
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
