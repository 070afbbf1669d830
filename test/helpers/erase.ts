import type { Runtime } from '../../src/process/runtime.ts'
import { DELETION_REQUIRED } from '../../src/revento/platform.ts'
import type { Queries } from '../../src/storage/database.ts'
import { type Ending, markErased } from '../../src/storage/erasures.ts'
import type { Platform } from '../../src/storage/schema.ts'
import { transaction } from '../../src/storage/sql.ts'
import { sweep } from '../../src/storage/sweep.ts'
import { insertDelivery, type NewRow } from './deliveries.ts'

const NEVER = new AbortController().signal

export interface EndingNotice {
  readonly eventId: string
  readonly organizationId?: string | null
  readonly platform?: Platform
  /** An ISO moment; the present one where it is absent. */
  readonly occurredAt?: string | null
}

/** Stores a delivery of this event that is being handled, and returns its id. */
export const storeDelivery = (
  query: Queries,
  o: { eventId: string; organizationId?: string | null; platform?: Platform },
  more: NewRow = {},
) =>
  insertDelivery(query, {
    ...{ platform: o.platform ?? 'real', event_id: o.eventId },
    ...{ envelope_id: crypto.randomUUID(), type: 'application.approved' },
    ...{ organization_id: o.organizationId === undefined ? 'org_1' : o.organizationId },
    ...{ state: 'running', next_at: Date.now() + 20_000, received_at: Date.now() },
    body: Buffer.from('{"name":"Ada Lovelace"}'),
    headers: '{"user-agent":"of Ada"}',
    ...more,
  })

/** Stores such a delivery of type data.deletion_required. */
export function storeEnding(query: Queries, now: number, o: EndingNotice): Promise<number> {
  const { occurredAt = new Date(now).toISOString() } = o
  const body = Buffer.from(JSON.stringify({ occurred_at: occurredAt }))
  return storeDelivery(query, o, { type: DELETION_REQUIRED, received_at: now, body })
}

/** Erases an event as the app does for a data.deletion_required. */
export async function erase(
  query: Queries,
  runtime: Pick<Runtime, 'now' | 'sleep'>,
  notice: EndingNotice,
): Promise<Ending | undefined> {
  const id = await storeEnding(query, runtime.now(), notice)
  const ending = await transaction(query, trx => markErased(trx, id, runtime.now()))
  if (ending) await sweep(query, ending.owner, { ...runtime, sleep: async () => {} }, NEVER)
  return ending
}
