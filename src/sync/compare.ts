import type { Row } from '../revento/platform.ts'
import { documented, encoded, PARTICIPANT_ID, REVIEW, rowOf, shortText } from '../storage/participant-rows.ts'
import type { ParticipantRecord } from '../storage/schema.ts'

/** A page's moment by Revento's clock (ISO 8601 UTC), its run, and the delivery number of its facts; see schema. */
export interface Sighting {
  readonly at: string
  readonly run: number
  readonly pass: number
  readonly delivery: number
  /** By our clock, in ms. */
  readonly now: number
}

/** The columns that a page writes. */
export type Listed = Omit<ParticipantRecord, 'platform' | 'event_id' | 'organization_id'>

export type Change =
  | { readonly what: 'added' | 'removed'; readonly id: string; readonly row: Row }
  | {
      readonly what: 'changed'
      readonly id: string
      readonly row: Row
      readonly before: Row
      readonly changed: readonly string[]
    }

/** Pure: what to store for a listed row, and what of it is news. */
export function compare(
  row: Row,
  known: ParticipantRecord | undefined,
  seen: Sighting,
): { listed: Listed; change: Change | undefined } {
  const id = String(row[PARTICIPANT_ID])
  const listed = merged(id, row, known, seen)
  if (!known || known.gone_at !== null) return { listed, change: { what: 'added', id, row } }
  const changed = newsIn(row, known, seen.at)
  if (changed.length === 0) return { listed, change: undefined }
  return { listed, change: { what: 'changed', id, row, before: rowOf(known), changed } }
}

const NOBODY = {
  ...{ name: null, name_at: null, name_delivery: null },
  ...{ application_status: null, status_at: null, status_delivery: null },
  ...{ data: null, data_at: null, data_delivery: null, ...documented({}) },
  ...{ last_type: '', occurred_at: '', last_delivery: 0 },
}

function merged(id: string, row: Row, known: ParticipantRecord | undefined, seen: Sighting): Listed {
  const before = known ?? { ...NOBODY, gone_at: null, first_seen_at: seen.now, updated_at: seen.now }
  const fact = (value: unknown, was: string | null, wasAt: string | null) => {
    const text = shortText(value)
    return text !== undefined && wins(text, seen.at, was, wasAt) ? text : undefined
  }
  const name = fact(row['name'], before.name, before.name_at)
  const status = fact(row['application_status'], before.application_status, before.status_at)
  const isNewer = before.data_at === null || seen.at >= before.data_at
  const data = isNewer ? encoded(row) : before.data
  const isNews =
    before.gone_at !== null ||
    data !== before.data ||
    (name ?? before.name) !== before.name ||
    (status ?? before.application_status) !== before.application_status
  return {
    participant_id: id,
    ...pick(before, ['name', 'name_at', 'name_delivery']),
    ...(name !== undefined && { name, name_at: seen.at, name_delivery: seen.delivery }),
    ...pick(before, ['application_status', 'status_at', 'status_delivery']),
    ...(status !== undefined && {
      ...{ application_status: status, status_at: seen.at, status_delivery: seen.delivery },
    }),
    ...pick(before, ['data', 'data_at', 'data_delivery', 'role', ...REVIEW]),
    ...(isNewer && { data, data_at: seen.at, data_delivery: seen.delivery, ...documented(row) }),
    ...pick(before, ['last_type', 'occurred_at', 'last_delivery', 'first_seen_at']),
    ...{ listed_at: seen.at, seen_run: seen.run, seen_pass: seen.pass, gone_at: null },
    updated_at: isNews ? seen.now : before.updated_at,
  }
}

const pick = <T, K extends keyof T>(of: T, names: readonly K[]) =>
  Object.fromEntries(names.map(name => [name, of[name]])) as Pick<T, K>

/** The rule of storage/event-data: the later fact wins, and of two at one moment the one that sorts last. */
const wins = (value: string, at: string, was: string | null, wasAt: string | null) =>
  was === null || at > (wasAt ?? '') || (at === wasAt && value > was)

/** The members of a listed row that differ from the stored row, unless a webhook has announced the change. */
function newsIn(row: Row, known: ParticipantRecord, at: string): string[] {
  const data: Row = known.data === null ? {} : JSON.parse(known.data)
  const names = new Set([...Object.keys(row), ...Object.keys(data)])
  names.delete(PARTICIPANT_ID)
  return [...names].filter(name => isNews(name, row, { known, data }, at)).toSorted()
}

interface Known {
  readonly known: ParticipantRecord
  readonly data: Row
}

function isNews(name: string, row: Row, { known, data }: Known, at: string): boolean {
  const text = shortText(row[name])
  // Somebody who was never listed is known only by webhooks, which do not have every member.
  const isHeard = known.listed_at === null
  if (name === 'application_status' && text !== undefined)
    return isOther(text, at, known.application_status, known.status_at, isHeard)
  if (name === 'name' && text !== undefined) return isOther(text, at, known.name, known.name_at, isHeard)
  if (known.data === null || at < (known.data_at ?? '')) return false
  if (!(name in data) && isHeard) return false
  if (encoded(data[name] ?? null) === encoded(row[name] ?? null)) return false
  return !isTold(name, known)
}

const isOther = (text: string, at: string, was: string | null, wasAt: string | null, isHeard: boolean) =>
  text !== was && !(was === null && isHeard) && wins(text, at, was, wasAt)

/** A webhook also announces the members of a review and the times, but does not show them as the list does. */
function isTold(name: string, { status_at, listed_at, occurred_at }: ParticipantRecord): boolean {
  const since = listed_at ?? ''
  if (REVIEW.some(member => member === name)) return (status_at ?? '') > since
  return name.endsWith('_at') && occurred_at > since
}
