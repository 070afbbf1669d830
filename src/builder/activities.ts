import type { ActivityRow, ConnectionKey } from '../revento/platform.ts'
import { createStoredActivities } from '../storage/activities.ts'
import type { Queries } from '../storage/database.ts'
import type { ActivityRecord, Platform } from '../storage/schema.ts'

/** An activity of an event's program, as Revento listed it last. Moments are ms since 1970. */
export interface Activity {
  readonly id: string
  readonly status: string | undefined
  /** Revento's whole row. */
  readonly row: ActivityRow
  readonly firstSeenAt: number
  readonly changedAt: number
  /** Since when Revento does not list it any more. */
  readonly goneAt: number | undefined
}

/** The stored activities of one connection, read without a request to Revento. None without the scope program.read. */
export interface Activities {
  /** Finds an activity that has gone, too. */
  find(activityId: string): Promise<Activity | undefined>
  /** Sorted by id. `gone: true` gives only the activities that have gone; otherwise only the others. */
  list(filter?: { readonly status?: string; readonly gone?: boolean }): AsyncIterable<Activity>
}

const PAGE = 200

export function createActivities(
  query: Queries,
  platform: Platform,
  key: ConnectionKey,
  signal?: AbortSignal,
): Activities {
  const stored = createStoredActivities(query, platform)
  return {
    async find(id) {
      signal?.throwIfAborted()
      const found = await stored.find(key, id)
      return found && activityOf(found)
    },
    async *list(filter = {}) {
      for (let after: string | undefined; ; ) {
        signal?.throwIfAborted()
        const rows = await stored.page(key, { ...filter, after, limit: PAGE })
        yield* rows.map(activityOf)
        if (rows.length < PAGE) return
        after = rows.at(-1)?.activity_id
      }
    },
  }
}

const activityOf = (record: ActivityRecord): Activity => ({
  id: record.activity_id,
  status: record.status ?? undefined,
  row: JSON.parse(record.data),
  firstSeenAt: record.first_seen_at,
  changedAt: record.updated_at,
  goneAt: record.gone_at === null ? undefined : Date.parse(record.gone_at),
})
