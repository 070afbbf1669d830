import type { Runtime } from '../../process/runtime.ts'
import { capacitySnapshot, type TestEvent } from '../api/events.ts'
import { amend, findParticipants, nextPending, type ParticipantRow, REVIEWER } from '../api/participants.ts'
import type { State } from '../state.ts'

type Data = Record<string, unknown>

/** With so many signups an activity with 40 places is nearly full. */
const SIGNUPS = 36

/** A webhook of Revento's without the id and the time of its envelope. */
export interface Draft {
  type: string
  event_id: string | null
  organization_id: string | null
  data: Data
}

/** Completes a draft with an id and a time. */
export function envelope(draft: Draft, runtime: Pick<Runtime, 'now' | 'uuid'>) {
  const { type, ...rest } = draft
  const occurred_at = new Date(runtime.now()).toISOString()
  const body = JSON.stringify({ id: `evt_delivery_${runtime.uuid()}`, type, occurred_at, ...rest })
  return { type, event_id: draft.event_id, body }
}

interface Step {
  afterMs: number
  draft: () => Draft
}

/** A participant applies, is approved and registers; then an activity fills up. Each draft is made when it is due. */
export function story(state: State, event: TestEvent, runtime: Runtime): Step[] {
  const now = () => new Date(runtime.now()).toISOString()
  const chosen = nextPending(state, event)?.id
  const step = (afterMs: number, type: string) => {
    return { afterMs, draft: () => draftOf(state, type, event, now(), chosen) }
  }
  return [
    step(300, 'application.submitted'),
    step(1200, 'application.approved'),
    step(1200, 'participant.registered'),
    step(1300, 'activity.capacity_state_changed'),
  ]
}

/** The ids of a type: null for those of the whole integration. */
export function addressed(type: string, { row }: TestEvent): Omit<Draft, 'data'> {
  if (type.startsWith('integration.')) return { type, event_id: null, organization_id: null }
  return { type, event_id: row.id, organization_id: row.organization_id }
}

/**
 * A believable webhook of a type. One that reports a change makes it in `state` first, so that the API agrees with it.
 * `about` is a participant id; without one the draft takes a participant to whom the change can happen next.
 */
export function draftOf(state: State, type: string, event: TestEvent, at: string, about?: string): Draft {
  return { ...addressed(type, event), data: dataOf(state, type, event, at, about) }
}

function dataOf(state: State, type: string, event: TestEvent, at: string, about: string | undefined): Data {
  if (type.startsWith('activity.')) return capacitySnapshot(event, SIGNUPS)
  if (type === 'data.deletion_required') return { reason: 'connection_ended' }
  if (!/^(application|participant)\./.test(type)) return {}
  const first = (isWanted: (row: ParticipantRow) => boolean) => findParticipants(state, event, isWanted, 1)[0]
  const person =
    (about === undefined ? undefined : first(({ id }) => id === about)) ??
    (type.startsWith('participant.') ? first(isUnregistered) : undefined) ??
    nextPending(state, event)
  return person ? personData(state, type, person, at) : {}
}

const isUnregistered = (row: ParticipantRow) => row.application_status === 'approved' && !row.registered_at

function personData(state: State, type: string, person: ParticipantRow, at: string): Data {
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

/** The fields that the guide shows for application.approved, with the participant's name and status. */
function application(row: ParticipantRow) {
  const { id: participant_id, user_id, name, application_status, custom_form_fields } = row
  const ids = { id: row.application_id, participant_id, user_id }
  return { ...ids, name, status: application_status, application_status, custom_form_fields }
}

function participant({ id, user_id, name, email, role, application_status, registered_at }: ParticipantRow) {
  return { id, participant_id: id, user_id, name, email, role, application_status, registered_at }
}
