import type { Row } from '../revento/platform.ts'
import type { ParticipantRecord } from './schema.ts'
import { storableJson } from './sql.ts'

/**
 * The member of a row that is the participant's id. The guide shows the row of no list, so this is a guess, made here and
 * nowhere else: a comparison whose rows lack it fails and says so.
 */
export const PARTICIPANT_ID = 'id'

/** The members of the latest review, which the guide names. */
export const REVIEW = ['last_reviewed_at', 'last_reviewer_id', 'last_review_action'] as const

/** The first 200 characters of a text; undefined for an empty text, and for anything else. */
export const shortText = (value: unknown): string | undefined =>
  typeof value === 'string' && value.length > 0 ? value.slice(0, 200) : undefined

/** The documented members that have columns of their own. */
export const documented = (row: Row) => ({
  role: shortText(row['role']) ?? null,
  last_reviewed_at: shortText(row['last_reviewed_at']) ?? null,
  last_reviewer_id: shortText(row['last_reviewer_id']) ?? null,
  last_review_action: shortText(row['last_review_action']) ?? null,
})

/** The row with the snapshot's values of its members, but its own id: the snapshot may be of another resource. */
export const taking = (row: Row, snapshot: Row): Row =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      name !== PARTICIPANT_ID && Object.hasOwn(snapshot, name) ? snapshot[name] : value,
    ]),
  )

/** JSON in one spelling, whatever order the members came in, so that equal rows give equal texts. */
export const encoded = (value: unknown): string => storableJson(sorted(value))

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => [name, sorted(member)]),
  )
}

/** The stored row with the name and status that webhooks of applications brought. */
export function rowOf({ participant_id, data, name, application_status }: ParticipantRecord): Row {
  const row: Row = data === null ? { [PARTICIPANT_ID]: participant_id } : JSON.parse(data)
  return {
    ...row,
    ...(name !== null && (data === null || 'name' in row) && { name }),
    ...(application_status !== null && { application_status }),
  }
}
