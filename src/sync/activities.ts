import type { Row } from '../revento/platform.ts'
import { ACTIVITY_ID } from '../storage/activities.ts'
import { encoded, shortText } from '../storage/participant-rows.ts'
import type { ActivityRecord } from '../storage/schema.ts'
import type { Change, Sighting } from './compare.ts'

/** The columns that a page writes. */
export type ListedActivity = Omit<ActivityRecord, 'platform' | 'event_id' | 'organization_id'>

/** Pure: what to store for a listed activity, and what changed. Only pages write activities, so the last page counts. */
export function compareActivity(
  row: Row,
  known: ActivityRecord | undefined,
  seen: Sighting,
): { listed: ListedActivity; change: Change | undefined } {
  const id = String(row[ACTIVITY_ID])
  const change = changeOf(id, row, known)
  const listed = {
    ...{ activity_id: id, status: shortText(row['status']) ?? null, data: encoded(row) },
    ...{ data_delivery: seen.delivery, first_seen_at: known?.first_seen_at ?? seen.now },
    ...{ listed_at: seen.at, seen_run: seen.run, seen_pass: seen.pass, gone_at: null },
    updated_at: change || !known ? seen.now : known.updated_at,
  }
  return { listed, change }
}

function changeOf(id: string, row: Row, known: ActivityRecord | undefined): Change | undefined {
  if (!known || known.gone_at !== null) return { what: 'added', id, row }
  const before = activityRowOf(known)
  const names = new Set([...Object.keys(row), ...Object.keys(before)])
  const isOther = (name: string) => encoded(row[name] ?? null) !== encoded(before[name] ?? null)
  const changed = [...names].filter(isOther).toSorted()
  return changed.length > 0 ? { what: 'changed', id, row, before, changed } : undefined
}

export const activityRowOf = ({ data }: ActivityRecord): Row => JSON.parse(data)
