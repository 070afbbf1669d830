import type { Incoming } from '../webhooks/inbox/append.ts'
import { SYNC } from '../webhooks/providers/index.ts'
import type { Change } from './compare.ts'
import type { RunRow } from './runs.ts'

/** A change as a delivery, with the envelope of Revento's events. Its id is another for each run. */
export function newsOf(run: RunRow, change: Change, { at, now }: { at: string; now: number }): Incoming {
  const { type, id: participant_id, row: participant } = change
  const { event_id, organization_id } = run
  const id = `sync_${run.id}_${type}_${participant_id}`
  const more = type === 'participant.changed' ? { changed: change.changed, before: change.before } : {}
  const data = { participant_id, participant, ...more, run: run.id }
  const envelope = { id, type, occurred_at: at, event_id, organization_id, data }
  return {
    ...{ provider: SYNC, platform: run.platform, deliveryId: null, receivedAt: now },
    envelope: { id, type, eventId: event_id, organizationId: organization_id },
    body: Buffer.from(JSON.stringify(envelope)),
  }
}
