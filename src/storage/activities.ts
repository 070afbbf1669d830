import type { ConnectionKey } from '../revento/platform.ts'
import type { Queries } from './database.ts'
import { isOf } from './erasures.ts'
import type { ActivityRecord, Platform } from './schema.ts'

/** The member of a row that is the activity's id: a guess, as PARTICIPANT_ID in storage/participant-rows is. */
export const ACTIVITY_ID = 'id'

interface ActivitiesPage {
  readonly status?: string | undefined
  /** True for only the activities that have gone; otherwise only the others. */
  readonly gone?: boolean
  /** The id of the last activity of the page before. */
  readonly after?: string | undefined
  readonly limit: number
}

export interface StoredActivities {
  find(of: ConnectionKey, id: string): Promise<ActivityRecord | undefined>
  /** Sorted by id. */
  page(of: ConnectionKey, page: ActivitiesPage): Promise<ActivityRecord[]>
}

export function createStoredActivities(query: Queries, platform: Platform): StoredActivities {
  const rows = ({ eventId, organizationId }: ConnectionKey) =>
    query
      .selectFrom('activities')
      .selectAll()
      .where(isOf({ platform, event_id: eventId, organization_id: organizationId }))
  return {
    find: (of, id) => rows(of).where('activity_id', '=', id).executeTakeFirst(),
    page: (of, { status, gone = false, after = '', limit }) =>
      rows(of)
        .where('gone_at', gone ? 'is not' : 'is', null)
        .$if(status !== undefined, select => select.where('status', '=', status ?? ''))
        .where('activity_id', '>', after)
        .orderBy('activity_id')
        .limit(limit)
        .execute(),
  }
}
