import type { Incoming } from '../webhooks/inbox/append.ts'
import { SYNC } from '../webhooks/providers/index.ts'
import type { Change } from './compare.ts'
import { listOf } from './lists.ts'
import type { RunRow } from './runs.ts'

/** Makes a delivery of a change, with the envelope of Revento's events and an id that is new in each run. */
export function newsOf(run: RunRow, change: Change, { at, now }: { at: string; now: number }): Incoming {
  const { one } = listOf(run)
  const { event_id, organization_id } = run
  const type = `${one}.${change.what}`
  const id = `sync_${run.id}_${type}_${change.id}`
  const more = change.what === 'changed' ? { changed: change.changed, before: change.before } : {}
  const data = { [`${one}_id`]: change.id, [one]: change.row, ...more, run: run.id }
  const envelope = { id, type, occurred_at: at, event_id, organization_id, data }
  return {
    ...{ provider: SYNC, platform: run.platform, deliveryId: null, receivedAt: now },
    envelope: { id, type, eventId: event_id, organizationId: organization_id },
    body: Buffer.from(JSON.stringify(envelope)),
  }
}
