import type { Runtime } from '../runtime.ts'
import { findEvent } from './events.ts'
import { amend, nextPending, type ParticipantRow, participants, REVIEWER } from './participants.ts'
import { capacitySnapshot } from './program.ts'
import type { Installation, State } from './state.ts'

/** An envelope without its id and time. */
export interface Draft {
  type: string
  event_id: string | null
  organization_id: string | null
  data: Record<string, unknown>
}

interface Step {
  afterMs: number
  draft: () => Draft
}

/** One person applies, is approved and registers; then an activity fills up. Drafted late, from the data of then. */
export function story(state: State, { event_id }: Installation, runtime: Runtime): Step[] {
  const now = () => new Date(runtime.now()).toISOString()
  const chosen = nextPending(state, event_id)?.id
  const step = (afterMs: number, type: string) => ({
    afterMs,
    draft: () => draftOf(state, type, event_id, now(), chosen),
  })
  return [
    step(300, 'application.submitted'),
    step(1200, 'application.approved'),
    step(1200, 'participant.registered'),
    step(1300, 'activity.capacity_state_changed'),
  ]
}

/**
 * A believable webhook of a type. Those that tell of a change make it first, so that the API agrees with the snapshot.
 * `about`: a participant id; without one, somebody whose application waits.
 */
export function draftOf(state: State, type: string, eventId: string, at: string, about?: string): Draft {
  const event = findEvent(eventId)
  if (!event || type.startsWith('integration.'))
    return { type, event_id: null, organization_id: null, data: {} }
  const person = participants(state, eventId).find(({ id }) => id === about) ?? nextPending(state, eventId)
  const data = type.startsWith('activity.')
    ? capacitySnapshot(event, 36)
    : type === 'data.deletion_required'
      ? { reason: 'connection_ended' }
      : person && personData(state, type, person, at)
  return { type, event_id: eventId, organization_id: event.row.organization_id, data: data ?? {} }
}

function personData(state: State, type: string, person: ParticipantRow, at: string): Record<string, unknown> {
  const review = (action: string) => {
    const change = { last_review_action: action, last_reviewed_at: at, last_reviewer_id: REVIEWER }
    return application(amend(state, person, { application_status: action, ...change }))
  }
  switch (type) {
    case 'application.submitted':
      return { ...application(person), submitted_at: person.submitted_at }
    case 'application.approved':
      return { ...review('approved'), approved_at: at, approver_id: REVIEWER }
    case 'application.rejected':
      return { ...review('rejected'), rejected_at: at, reviewer_id: REVIEWER }
    case 'application.revision_requested':
      return { ...review('revision_requested'), revision_requested_at: at, reviewer_id: REVIEWER }
    case 'participant.registered':
      return participant(amend(state, person, { registered_at: at }))
    case 'participant.profile_updated':
      return participant(person)
    default:
      return {}
  }
}

/** The fields the guide shows for application.approved, plus the participant's name and status. */
function application({
  id,
  application_id,
  user_id,
  name,
  application_status,
  custom_form_fields,
}: ParticipantRow) {
  const status = application_status
  return {
    id: application_id,
    participant_id: id,
    user_id,
    name,
    status,
    application_status,
    custom_form_fields,
  }
}

function participant({ id, user_id, name, email, role, application_status, registered_at }: ParticipantRow) {
  return { id, participant_id: id, user_id, name, email, role, application_status, registered_at }
}
