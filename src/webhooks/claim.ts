import type { Transaction } from 'kysely'
import { DELETION_REQUIRED } from '../revento/platform.ts'
import type { Queries } from '../storage/database.ts'
import { erasedEvents } from '../storage/event-data.ts'
import type { InboxTable, Schema } from '../storage/schema.ts'

/** A delivery whose handler may run now. `attempt` counts from 1. */
export interface Claimed {
  readonly id: number
  readonly provider: string
  readonly type: string
  readonly eventId: string | null
  readonly attempt: number
  readonly receivedAt: number
  /** Null when the event's data was erased meanwhile. */
  readonly body: Uint8Array | null
}

interface Due {
  readonly id: number
  readonly provider: string
  readonly delivery_id: string | null
  readonly envelope_id: string
  readonly type: string
  readonly attempts: number
  readonly event_id: string | null
}

export interface ClaimOptions {
  readonly owner: string
  readonly limit: number
  readonly leaseMs: number
  readonly maxAttempts: number
  readonly now: number
  readonly hasHandler: (provider: string, type: string) => boolean
}

export interface ClaimResult {
  readonly claimed: Claimed[]
  readonly duplicates: { id: number; duplicateOf: number; sameEnvelope: boolean }[]
  /** No handler, or of an event whose data was erased. */
  readonly ignored: number[]
  /** Claimed as often as may be, and never settled: their process died each time. */
  readonly exhausted: number[]
}

/**
 * One transaction takes what is due, resolves both dedupe keys of what is new, and leases the rest: so no handler
 * ever starts on a duplicate. A lease that ran out (its process died) is due like everything else.
 */
export function claim(query: Queries, o: ClaimOptions): Promise<ClaimResult> {
  return query.transaction().execute(async trx => {
    const due = await trx
      .selectFrom('inbox')
      .select(['id', 'provider', 'delivery_id', 'envelope_id', 'type', 'attempts', 'event_id'])
      .where('state', 'in', ['pending', 'running'])
      // A new one is due at once, also where the clock was set back after it came.
      .where(eb => eb.or([eb('next_at', '<=', o.now), eb('attempts', '=', 0)]))
      .orderBy('next_at')
      .orderBy('id')
      .limit(o.limit)
      .execute()
    const duplicates = await resolveKeys(
      trx,
      due.filter(row => row.attempts === 0),
      o.now,
    )
    const repeated = new Set(duplicates.map(d => d.id))
    const erased = await erasedEvents(trx, due)
    const fates = Object.groupBy(due, row => {
      if (repeated.has(row.id)) return 'duplicate'
      if (row.event_id !== null && erased.has(row.event_id) && row.type !== DELETION_REQUIRED) return 'erased'
      if (!o.hasHandler(row.provider, row.type)) return 'ignored'
      return row.attempts >= o.maxAttempts ? 'exhausted' : 'runnable'
    })
    const ids = (fate: keyof typeof fates) => (fates[fate] ?? []).map(row => row.id)
    const ended = { ignored: [...ids('ignored'), ...ids('erased')], exhausted: ids('exhausted') }
    await settle(trx, duplicates, { ...ended, erased: ids('erased') }, o.now)
    return { claimed: await lease(trx, ids('runnable'), o), duplicates, ...ended }
  })
}

type Trx = Transaction<Schema>

/** The delivery id is documented as the key but is not signed; the envelope's id is. Either one marks a repeat. */
const keysOf = (row: Due) => ({
  envelope: `${row.provider} envelope ${row.envelope_id}`,
  delivery: row.delivery_id === null ? undefined : `${row.provider} delivery ${row.delivery_id}`,
})

/**
 * A repeat's keys are not recorded: a replayed body under somebody else's delivery id must not use that id up.
 */
async function resolveKeys(trx: Trx, rows: Due[], now: number): Promise<ClaimResult['duplicates']> {
  if (rows.length === 0) return []
  const wanted = rows.flatMap(row => Object.values(keysOf(row)).filter(key => key !== undefined))
  const seen = await trx
    .selectFrom('delivery_keys')
    .select(['key', 'inbox_id'])
    .where('key', 'in', wanted)
    .execute()
  const owner = new Map(seen.map(({ key, inbox_id }) => [key, inbox_id]))
  const fresh: { key: string; inbox_id: number; seen_at: number }[] = []
  const duplicates: ClaimResult['duplicates'] = []
  for (const row of rows) {
    const { envelope, delivery } = keysOf(row)
    const byEnvelope = owner.get(envelope)
    const first = byEnvelope ?? (delivery === undefined ? undefined : owner.get(delivery))
    if (first !== undefined && first !== row.id) {
      duplicates.push({ id: row.id, duplicateOf: first, sameEnvelope: byEnvelope !== undefined })
      continue
    }
    for (const key of [envelope, delivery]) {
      if (key === undefined || owner.has(key)) continue
      owner.set(key, row.id)
      fresh.push({ key, inbox_id: row.id, seen_at: now })
    }
  }
  if (fresh.length > 0) await trx.insertInto('delivery_keys').values(fresh).execute()
  return duplicates
}

async function settle(
  trx: Trx,
  duplicates: ClaimResult['duplicates'],
  ended: { ignored: number[]; exhausted: number[]; erased: number[] },
  now: number,
): Promise<void> {
  for (const { id, duplicateOf } of duplicates)
    await trx
      .updateTable('inbox')
      .set({ state: 'duplicate', duplicate_of: duplicateOf, finished_at: now, body: null })
      .where('id', '=', id)
      .execute()
  const set = (ids: number[], values: Partial<Omit<InboxTable, 'id'>>) =>
    ids.length > 0 ? trx.updateTable('inbox').set(values).where('id', 'in', ids).execute() : undefined
  await set(ended.ignored, { state: 'ignored', finished_at: now, lease_owner: null })
  await set(ended.erased, { body: null, last_error: null })
  const last_error = 'its process ended before its handler did, each time'
  await set(ended.exhausted, { state: 'dead', finished_at: now, lease_owner: null, last_error })
}

async function lease(trx: Trx, ids: number[], o: ClaimOptions): Promise<Claimed[]> {
  if (ids.length === 0) return []
  const rows = await trx
    .updateTable('inbox')
    .set(eb => ({
      state: 'running',
      attempts: eb('attempts', '+', 1),
      lease_owner: o.owner,
      next_at: o.now + o.leaseMs,
    }))
    .where('id', 'in', ids)
    .returning(['id', 'provider', 'type', 'event_id', 'attempts', 'received_at', 'body'])
    .execute()
  return rows.map(row => ({
    id: row.id,
    provider: row.provider,
    type: row.type,
    eventId: row.event_id,
    attempt: row.attempts,
    receivedAt: row.received_at,
    body: row.body,
  }))
}
