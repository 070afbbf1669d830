import { findEvent, type TestEvent, testEvents } from '../api/events.ts'
import {
  addPeople,
  amend,
  findParticipants,
  type ParticipantRow,
  participants,
  REVIEWER,
  removePeople,
} from '../api/participants.ts'
import { Problem } from '../api/problem.ts'
import type { Context } from '../context.ts'
import { type Fields, flag, text, whole } from '../fields.ts'
import { draftOf, envelope } from '../webhooks/story.ts'
import { senderOf } from './send.ts'

/** The most people whom one request adds or changes. */
export const MOST_PEOPLE = 1000

export const REVIEWS = ['approved', 'rejected', 'revision_requested'] as const

/** Changes who takes part in an event and answers their ids. No webhook tells it, except where `tell` is set. */
export type PeopleChange = (context: Context, fields: Fields) => string[]

/** Whom a request is about: one person by `participant_id`, or the first `count`, of those who are `wanted`. */
function chosen(
  { state }: Context,
  event: TestEvent,
  fields: Fields,
  isWanted: (row: ParticipantRow) => boolean = () => true,
): ParticipantRow[] {
  const id = text(fields, 'participant_id') || undefined
  const count = id === undefined ? (whole(fields, 'count', MOST_PEOPLE) ?? 1) : 1
  const rows = findParticipants(
    state,
    event,
    row => (id === undefined ? isWanted(row) : row.id === id),
    count,
  )
  if (rows.length === 0) throw new Problem('not_found')
  return rows
}

/** The event that a request names; the first one without a name. */
export function eventIn(fields: Fields): TestEvent {
  const id = text(fields, 'event_id')
  const event = id === undefined ? testEvents()[0] : findEvent(id)
  if (!event) throw new Problem('not_found')
  return event
}

export const add: PeopleChange = (context, fields) => {
  const event = eventIn(fields)
  const ids = addPeople(context.state, event, whole(fields, 'count', MOST_PEOPLE) ?? 1)
  const name = nameIn(fields)
  if (name !== undefined) for (const id of ids) context.state.reviews[id] = { name }
  if (flag(fields, 'tell')) for (const id of ids) tell(context, event, 'application.submitted', id)
  return ids
}

/** Gives a new name, a review, or both. */
export const edit: PeopleChange = (context, fields) => {
  const event = eventIn(fields)
  const name = nameIn(fields)
  const review = text(fields, 'status') || undefined
  if (review !== undefined && !REVIEWS.some(known => known === review)) throw new Problem('invalid_request')
  if (name === undefined && review === undefined) throw new Problem('invalid_request')
  const at = new Date(context.options.runtime.now()).toISOString()
  return chosen(context, event, fields).map(row => {
    amend(context.state, row, {
      ...(name !== undefined && { name }),
      ...(review !== undefined && {
        application_status: review,
        last_review_action: review,
        last_reviewed_at: at,
        last_reviewer_id: REVIEWER,
      }),
    })
    const type = review === undefined ? 'participant.profile_updated' : `application.${review}`
    if (flag(fields, 'tell')) tell(context, event, type, row.id)
    return row.id
  })
}

/** Cancels participants, who stay in the list. The guide has no webhook for it. */
export const cancel: PeopleChange = (context, fields) => {
  const isComing = (row: ParticipantRow) => row.application_status !== CANCELLED
  return chosen(context, eventIn(fields), fields, isComing).map(row => {
    amend(context.state, row, { application_status: CANCELLED, registered_at: null })
    return row.id
  })
}

const CANCELLED = 'cancelled'

/** Takes participants out of the list. The guide has no webhook for it. */
export const remove: PeopleChange = (context, fields) => {
  const event = eventIn(fields)
  const ids = chosen(context, event, fields).map(({ id }) => id)
  removePeople(context.state, event, ids)
  return ids
}

/** Everybody in the list of an event, as the API has them. */
export function everybody({ state }: Context, fields: Fields): ParticipantRow[] {
  const list = participants(state, eventIn(fields))
  return list.slice(0, list.length)
}

const LONGEST_NAME = 200

function nameIn(fields: Fields): string | undefined {
  const name = text(fields, 'name')
  if (name !== undefined && name.length > LONGEST_NAME) throw new Problem('invalid_request')
  return name || undefined
}

function tell(context: Context, event: TestEvent, type: string, about: string): void {
  const { state, options, deliveries } = context
  const at = new Date(options.runtime.now()).toISOString()
  const draft = draftOf(state, type, event, at, about)
  deliveries.start({ sender: senderOf(context, undefined), ...envelope(draft, options.runtime) })
}
