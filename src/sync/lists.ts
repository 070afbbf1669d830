import type { EventApi, PageRequest } from '../revento/api.ts'
import type { Page, Row, Scope } from '../revento/platform.ts'
import { ACTIVITY_ID } from '../storage/activities.ts'
import { PARTICIPANT_ID, rowOf } from '../storage/participant-rows.ts'
import type { ActivityRecord, ParticipantRecord } from '../storage/schema.ts'
import { activityRowOf, compareActivity, type ListedActivity } from './activities.ts'
import { type Change, compare, type Listed, type Sighting } from './compare.ts'

/** Each list has a table of its name. */
export type ListName = 'participants' | 'activities'
export type Stored = ParticipantRecord | ActivityRecord

/** How one of the copied lists of Revento differs from the others. */
export interface List {
  readonly name: ListName
  /** The word for one of its rows in the types of news and in their data. */
  readonly one: 'participant' | 'activity'
  readonly scope: Scope
  /** The list is read only where the connection names the scope. */
  readonly isOptional: boolean
  readonly read: (api: EventApi, page: PageRequest) => Promise<Page>
  /** The member of a row that is its id, and the column for it. */
  readonly member: string
  readonly column: 'participant_id' | 'activity_id'
  /** The columns that a page writes, beside those of the owner. */
  readonly texts: readonly string[]
  readonly numbers: readonly string[]
  /** The members that count only where they are text. */
  readonly facts: readonly string[]
  /** Webhooks write its rows, too. */
  readonly isHeardOf: boolean
  compare(row: Row, known: Stored | undefined, seen: Sighting): { listed: object; change: Change | undefined }
  rowOf(known: Stored): Row
}

const participants: List = {
  ...{ name: 'participants', one: 'participant', scope: 'participants.read', isOptional: false },
  read: (api, page) => api.participants(page),
  ...{ member: PARTICIPANT_ID, column: 'participant_id' },
  texts: [
    ...['participant_id', 'name', 'name_at', 'application_status', 'status_at', 'data', 'data_at', 'role'],
    ...['last_reviewed_at', 'last_reviewer_id', 'last_review_action', 'last_type', 'occurred_at'],
    ...['listed_at', 'gone_at'],
  ] as const satisfies (keyof Listed)[],
  numbers: [
    ...['name_delivery', 'status_delivery', 'data_delivery', 'last_delivery', 'first_seen_at', 'seen_run'],
    ...['seen_pass', 'updated_at'],
  ] as const satisfies (keyof Listed)[],
  facts: ['application_status', 'name'],
  isHeardOf: true,
  compare: (row, known: ParticipantRecord | undefined, seen) => compare(row, known, seen),
  rowOf,
}

const activities: List = {
  ...{ name: 'activities', one: 'activity', scope: 'program.read', isOptional: true },
  read: (api, page) => api.activities(page),
  ...{ member: ACTIVITY_ID, column: 'activity_id' },
  texts: ['activity_id', 'status', 'data', 'listed_at', 'gone_at'] satisfies (keyof ListedActivity)[],
  numbers: [
    ...['data_delivery', 'first_seen_at', 'seen_run', 'seen_pass', 'updated_at'],
  ] as const satisfies (keyof ListedActivity)[],
  facts: ['status'],
  isHeardOf: false,
  compare: compareActivity,
  rowOf: activityRowOf,
}

export const LISTS: readonly List[] = [participants, activities]

export const listOf = ({ list }: { readonly list: ListName }): List =>
  list === 'activities' ? activities : participants

export const idOf = (stored: Stored): string =>
  'participant_id' in stored ? stored.participant_id : stored.activity_id

/** Whether a list may be read with these scopes. No stored scope means that Revento named none. */
export const isGranted = ({ scope, isOptional }: List, scopes: readonly string[]): boolean =>
  scopes.includes(scope) || (scopes.length === 0 && !isOptional)
