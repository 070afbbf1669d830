import type { ApplicationStatus } from '../../revento/platform.ts'
import type { Review, State } from '../state.ts'
import type { TestEvent } from './events.ts'
import { personOf } from './names.ts'

export interface ParticipantRow {
  id: string
  application_id: string
  user_id: string
  name: string
  email: string
  role: string
  application_status: string
  submitted_at: string
  registered_at: string | null
  last_reviewed_at: string | null
  last_reviewer_id: string | null
  last_review_action: string | null
  custom_form_fields: Record<string, unknown>
}

export const REVIEWER = 'usr_org_001'
const HOUR = 3_600_000
const STATUSES: readonly ApplicationStatus[] = [
  'approved',
  'pending',
  'approved',
  'revision_requested',
  'pending',
  'rejected',
  'approved',
  'pending',
]
const ROLES = ['attendee', 'attendee', 'speaker', 'attendee', 'volunteer', 'attendee', 'exhibitor'] as const
const TRACKS = ['Worldbuilding', 'Game design', 'Craft and props', 'Community'] as const
const DIETS = [null, 'vegetarian', null, 'no nuts', 'vegan', null, 'halal', 'gluten free'] as const
const at = <T>(list: readonly [T, ...T[]] | readonly T[], index: number) => list[index % list.length] as T

/** A list whose rows are made when they are read: a page of a large event costs no more than one of a small one. */
export interface Listed<Row> {
  readonly length: number
  slice(start: number, end: number): Row[]
}

/** The participants of an event as they are now: the seed with everything that happened since. */
export function participants(state: State, event: TestEvent): Listed<ParticipantRow> {
  const seats = seatsOf(state, event)
  return {
    length: seats.length,
    slice: (start, end) => seats.slice(start, end).map(seat => rowOf(state, event, seat)),
  }
}

/** The first participants to whom something applies. */
export function findParticipants(
  state: State,
  event: TestEvent,
  isWanted: (row: ParticipantRow) => boolean,
  count: number,
): ParticipantRow[] {
  const found: ParticipantRow[] = []
  for (const seat of seatsOf(state, event)) {
    if (found.length === count) break
    const row = rowOf(state, event, seat)
    if (isWanted(row)) found.push(row)
  }
  return found
}

/** Who is in the list: the number behind `ptp_`, and which person of the seed it is. */
interface Seat {
  readonly number: string
  readonly index: number
}

const numberOf = ({ firstNumber }: TestEvent, index: number) => String(firstNumber + index).padStart(3, '0')

const changesOf = (state: State, { row }: TestEvent) => state.people?.[row.id] ?? { added: 0, removed: [] }

/** The seats in the order of their ids. Added people stand among the others, so that later pages move. */
function seatsOf(state: State, event: TestEvent): Seat[] {
  const { added, removed } = changesOf(state, event)
  const gone = new Set(removed)
  const seats = Array.from({ length: event.people }, (_, index) => ({
    number: numberOf(event, index),
    index,
  }))
  const isThere = ({ number }: Seat) => !gone.has(`ptp_${number}`)
  if (added === 0) return gone.size > 0 ? seats.filter(isThere) : seats
  const late = Array.from({ length: added }, (_, nth) => lateSeat(event, nth))
  return [...seats, ...late].filter(isThere).sort((a, b) => (a.number < b.number ? -1 : 1))
}

/** The seat of somebody added. The odd step spreads added people over the whole list. */
function lateSeat(event: TestEvent, nth: number): Seat {
  const neighbour = numberOf(event, (nth * 7919) % event.people)
  return { number: `${neighbour}_${nth}`, index: event.people + nth }
}

function rowOf(state: State, event: TestEvent, seat: Seat): ParticipantRow {
  return { ...seedRow(event, seat), ...state.reviews[`ptp_${seat.number}`] }
}

/** The applications of the seed come in over six weeks. */
const WEEKS_6 = 1044 * HOUR

function seedRow(
  { applicationsFrom, firstNumber, people }: TestEvent,
  { number, index }: Seat,
): ParticipantRow {
  const { name, email } = personOf(index, firstNumber - 1)
  const status = index < people ? at(STATUSES, index) : 'pending'
  const submitted = applicationsFrom + Math.round((index * WEEKS_6) / people) + index * 247_000
  const reviewed = status === 'pending' ? null : iso(submitted + (20 + (index % 5) * 9) * HOUR)
  return {
    id: `ptp_${number}`,
    application_id: `app_${number}`,
    user_id: `usr_${number}`,
    name,
    email,
    role: at(ROLES, index),
    application_status: status,
    submitted_at: iso(submitted),
    registered_at: status === 'approved' && index % 4 === 0 ? iso(submitted + 80 * HOUR) : null,
    last_reviewed_at: reviewed,
    last_reviewer_id: reviewed && REVIEWER,
    last_review_action: status === 'pending' ? null : status,
    custom_form_fields: {
      favorite_track: at(TRACKS, index),
      dietary_notes: at(DIETS, index),
      first_visit: index % 3 === 0,
    },
  }
}

const iso = (ms: number) => new Date(ms).toISOString()

/** Records a change of a participant, so that the API and the webhook agree. */
export function amend(state: State, row: ParticipantRow, change: Review): ParticipantRow {
  state.reviews[row.id] = { ...state.reviews[row.id], ...change }
  return { ...row, ...change }
}

/** Adds people who have applied, and answers their ids. */
export function addPeople(state: State, event: TestEvent, count: number): string[] {
  const { added, removed } = changesOf(state, event)
  state.people = { ...state.people, [event.row.id]: { added: added + count, removed } }
  return Array.from({ length: count }, (_, nth) => `ptp_${lateSeat(event, added + nth).number}`)
}

/** Takes people out of the list: the API does not name them any more. */
export function removePeople(state: State, event: TestEvent, ids: readonly string[]): void {
  const { added, removed } = changesOf(state, event)
  state.people = { ...state.people, [event.row.id]: { added, removed: [...removed, ...ids] } }
  for (const id of ids) delete state.reviews[id]
}

/** A participant whose application is pending. When none is left every application is put back to its seed first. */
export function nextPending(state: State, event: TestEvent): ParticipantRow | undefined {
  const isPending = (row: ParticipantRow) => row.application_status === 'pending'
  const [waiting] = findParticipants(state, event, isPending, 1)
  if (waiting) return waiting
  for (const { number } of seatsOf(state, event)) delete state.reviews[`ptp_${number}`]
  return findParticipants(state, event, isPending, 1)[0]
}
