import { sql } from 'kysely'
import type { LeaseEnds } from '../../process/trusted-time.ts'
import { DELETION_REQUIRED } from '../../revento/platform.ts'
import type { Queries } from '../../storage/database.ts'
import { erasedAmong, markErased } from '../../storage/erasures.ts'
import type { DeliveryState, OutcomesTable, Platform } from '../../storage/schema.ts'
import {
  byteBatch,
  changeEach,
  ids,
  idsText,
  integer,
  isOpen,
  isPostgres,
  lock,
  records,
  statement,
  transaction,
} from '../../storage/sql.ts'
import { type Duplicate, findDuplicates, type Identified } from './dedupe.ts'

/** A delivery whose handler may run now. `attempt` counts from 1; `eventId` is null on integration-level events. */
export interface Claimed {
  readonly id: number
  readonly provider: string
  readonly type: string
  readonly eventId: string | null
  readonly organizationId: string | null
  readonly attempt: number
  readonly receivedAt: number
  /** When it came, or was asked to run again. */
  readonly since: number
  readonly platform: Platform
  readonly envelopeId: string
  /** The owner of its lease: this process. */
  readonly owner: string
  /** The span of the request that it came with, where one was recorded. */
  readonly receipt: string | null
  /** Null when the event's data was erased meanwhile. */
  readonly body: Uint8Array | null
}

interface Due extends Identified {
  readonly type: string
  readonly event_id: string | null
  readonly organization_id: string | null
  readonly received_at: number
  readonly asked_at: number | null
  readonly trace_id: string | null
  readonly attempts: number
  readonly crashes: number
  readonly next_at: number
  readonly bytes: number | null
  /** Null where the body is gone, or not small. */
  readonly body: Uint8Array | null
  /** Whether its lease ran out, which `crashes` counts already. */
  readonly interrupted: boolean
}

export interface ClaimOptions {
  readonly owner: string
  /** Deliveries of the other platform wait until the app runs on that one. */
  readonly platform: Platform
  readonly limit: number
  /** How many handlers run now: beside them nothing is claimed that has to run alone. */
  readonly running: number
  /** What this process has claimed and not settled: it stays its own, whatever the clock says of the leases. */
  readonly held: readonly number[]
  readonly leaseMs: number
  readonly maxAttempts: number
  readonly now: number
  /** Which leases have ended, by the clock of now. */
  readonly ends: LeaseEnds
  readonly hasHandler: (provider: string, type: string) => boolean
}

export interface ClaimResult {
  readonly claimed: Claimed[]
  readonly duplicates: Duplicate[]
  /** Deliveries without a handler, or of an event whose data was erased. */
  readonly ignored: number[]
  /** Deliveries that crashed too often, or were claimed `maxAttempts` times. */
  readonly exhausted: number[]
  /** Deliveries that were claimed before by a process that ended. */
  readonly interrupted: number[]
  /** Whether the claimed delivery has to run alone, or a due one waits until it can. */
  readonly alone: boolean
}

/** A delivery whose run crashed the process five times becomes dead. */
export const MAX_CRASHES = 5
/** One crash may be another delivery's, or a restart; after the second a delivery runs alone, so that a third is its own. */
const ALONE_AFTER = 2
/** A body up to this size, as most are, is read with its row and needs no second statement. */
const SMALL = 8 * 1024
/** The most bytes of bodies in each half of a claim: they are in memory until their handlers begin. */
const MOST_BYTES = 16 * 1024 * 1024

/**
 * One transaction reads due deliveries, resolves both dedupe keys of the new ones, and leases the rest, so that no handler
 * ever starts on a duplicate. A delivery whose lease ran out, because its process ended, is due like any other.
 */
export function claim(query: Queries, o: ClaimOptions): Promise<ClaimResult> {
  return transaction(query, async trx => {
    // Two instances may each see one of two copies: the lock lets the second look when the first has stored keys and leases.
    // Up to migration 064 only the keys were looked for in turn, hence the name: an older instance takes its turn, too.
    await lock(trx, 'delivery keys')
    const { rows, alone } = apart(await dueRows(trx, o), o.running)
    const duplicates = await findDuplicates(
      trx,
      rows.filter(row => row.attempts === 0),
    )
    const repeated = new Set(duplicates.map(d => d.id))
    // An ending is marked in the commit that claims it, so that nothing that it erases is claimed with it or after it.
    for (const { id, type } of rows)
      if (type === DELETION_REQUIRED && !repeated.has(id)) await markErased(trx, id, o.now)
    const erased = await erasedAmong(
      trx,
      rows.map(({ id, type, event_id, organization_id }) => ({
        ...{ id, type, platform: o.platform, eventId: event_id, organizationId: organization_id },
      })),
    )
    const fates = Object.groupBy(rows, row => {
      if (repeated.has(row.id)) return 'duplicate'
      if (erased.has(row.id)) return 'erased'
      if (!o.hasHandler(row.provider, row.type)) return 'ignored'
      return row.crashes >= MAX_CRASHES || row.attempts >= o.maxAttempts ? 'exhausted' : 'runnable'
    })
    const idsOf = (fate: keyof typeof fates) => (fates[fate] ?? []).map(row => row.id)
    const ended = { ignored: [...idsOf('ignored'), ...idsOf('erased')], exhausted: idsOf('exhausted') }
    const interrupted = rows.filter(row => row.interrupted)
    await recordInterrupted(trx, interrupted, o.leaseMs)
    await endDuplicates(trx, duplicates, o.now)
    await end(trx, { ...ended, erased: idsOf('erased') }, o.now)
    const claimed = await lease(trx, fates.runnable ?? [], o)
    return { claimed, duplicates, ...ended, interrupted: interrupted.map(row => row.id), alone }
  })
}

type Found = Omit<Due, 'interrupted'> & { readonly state: DeliveryState }

const due = (which: string, options = {}) =>
  statement<Found>(
    `select o.id, provider, o.platform, delivery_id, envelope_id, type, state, o.event_id, o.organization_id,
      received_at, asked_at, trace_id, attempts, crashes, next_at, length(body) as bytes,
      case when length(body) <= ${SMALL} then body end as body
    from outcomes as o join deliveries as d on d.id = o.id
    where state in ('pending', 'running') and o.platform = $1 and ${which} order by next_at, o.id limit $2`,
    options,
  )
/** The rows are not locked, which PostgreSQL would write to its log: nobody else claims meanwhile, and `lease` checks. */
const dueNew = due('next_at = 0')
/** Skips rows that their process, or a removal or replay, has locked. */
const dueAgain = due(
  `next_at > 0 and next_at <= $3 and (state = 'pending' or next_at > $4)
  and o.id not in (select cast(r.key as bigint) from json_each($5) as r)`,
  { onPostgres: ' for update of o skip locked' },
)

/** New deliveries (`next_at` 0) are always due. They and older ones get half of the room each, and what the other leaves. */
async function dueRows(trx: Queries, { limit, now, ends, held, platform }: ClaimOptions): Promise<Due[]> {
  const waited = await dueAgain(trx, platform, limit, now, ends.after, idsText(held))
  const again = byteBatch(waited, MOST_BYTES)
  const room = limit - Math.min(again.length, Math.ceil(limit / 2))
  const fresh = byteBatch(await dueNew(trx, platform, room), MOST_BYTES)
  // The rows are changed in place: to copy each takes longer than to read it.
  return [...again.slice(0, limit - fresh.length), ...fresh].map(row =>
    Object.assign(row, {
      crashes: row.crashes + (row.state === 'running' ? 1 : 0),
      interrupted: row.state === 'running',
    }),
  )
}

/** A delivery that has crashed twice is claimed by itself, while nothing else runs here. */
function apart(due: Due[], running: number): { rows: Due[]; alone: boolean } {
  const suspect = due.find(row => row.crashes >= ALONE_AFTER)
  if (!suspect) return { rows: due, alone: false }
  return { rows: running === 0 ? [suspect] : [], alone: true }
}

/** Stores the runs that a crash ended: each began when it was claimed, and nobody knows when its process ended. */
async function recordInterrupted(trx: Queries, rows: Due[], leaseMs: number): Promise<void> {
  if (rows.length === 0) return
  const runs = records(
    rows.map(row => ({ id: row.id, started_at: row.next_at - leaseMs, attempt: row.attempts })),
  )
  await sql`insert into attempts (inbox_id, started_at, attempt, outcome)
    select ${integer('id')}, ${integer('started_at')}, ${integer('attempt')}, 'interrupted' from ${runs} where true
    on conflict do nothing`.execute(trx)
  await trx
    .updateTable('outcomes')
    .set(eb => ({ crashes: eb('crashes', '+', 1) }))
    .where('id', 'in', ids(rows.map(row => row.id)))
    .execute()
}

async function endDuplicates(trx: Queries, duplicates: Duplicate[], now: number): Promise<void> {
  if (duplicates.length === 0) return
  const rows = records(duplicates.map(({ id, duplicateOf }) => ({ id, of: duplicateOf })))
  await sql`update outcomes set state = 'duplicate', duplicate_of = ${integer('of')}, finished_at = ${now}
    from ${rows} where outcomes.id = ${integer('id')} and ${isOpen}`.execute(trx)
  await dropBodies(
    trx,
    duplicates.map(({ id }) => id),
  )
}

const dropBodies = async (trx: Queries, list: number[]) =>
  list.length > 0 &&
  trx.updateTable('deliveries').set({ body: null, headers: null }).where('id', 'in', ids(list)).execute()

async function end(
  trx: Queries,
  ended: { ignored: number[]; exhausted: number[]; erased: number[] },
  now: number,
): Promise<void> {
  const set = (list: number[], values: Partial<Omit<OutcomesTable, 'id' | 'crashes'>>) =>
    list.length > 0
      ? trx.updateTable('outcomes').set(values).where('id', 'in', ids(list)).where(isOpen).execute()
      : undefined
  await set(ended.erased, { last_error: null })
  await set(ended.ignored, { state: 'ignored', finished_at: now, lease_owner: null })
  await dropBodies(trx, ended.erased)
  const last_error = 'its process ended before its last run did'
  await set(ended.exhausted, { state: 'dead', finished_at: now, lease_owner: null, last_error })
}

const LEASE = `update outcomes set state = 'running', attempts = attempts + 1, lease_owner = $1, next_at = $2`
const leaseEach = changeEach(`${LEASE} where id = $3`)
const leaseOpen = statement<{ id: number }>(`${LEASE} where id in (select cast(r.key as bigint)
  from json_each($3) as r) and state in ('pending', 'running') returning id`)

/** Gives those that are still open: on PostgreSQL an erasure, or the operator, may have ended some meanwhile. */
async function leaseRows(trx: Queries, due: readonly Due[], o: ClaimOptions): Promise<readonly Due[]> {
  const [list, until] = [due.map(row => row.id), o.now + o.leaseMs]
  if (isPostgres(trx)) {
    const leased = await leaseOpen(trx, o.owner, until, idsText(list))
    const has = new Set(leased.map(row => row.id))
    return due.filter(row => has.has(row.id))
  }
  await leaseEach(
    trx,
    list.map(id => [o.owner, until, id]),
  )
  return due
}

async function lease(trx: Queries, due: readonly Due[], o: ClaimOptions): Promise<Claimed[]> {
  if (due.length === 0) return []
  const runnable = await leaseRows(trx, due, o)
  const bodies = await largeBodies(trx, runnable)
  // The delivery that has waited longest comes first.
  return runnable.map(row => ({
    id: row.id,
    provider: row.provider,
    type: row.type,
    eventId: row.event_id,
    organizationId: row.organization_id,
    attempt: row.attempts + 1,
    receivedAt: row.received_at,
    since: row.asked_at ?? row.received_at,
    platform: row.platform,
    envelopeId: row.envelope_id,
    owner: o.owner,
    receipt: row.trace_id,
    body: row.body ?? bodies.get(row.id) ?? null,
  }))
}

/** In small statements: each has its time limit, and where all of them had one, a slow network would let none be claimed. */
async function largeBodies(trx: Queries, rows: readonly Due[]): Promise<Map<number, Uint8Array | null>> {
  const bodies = new Map<number, Uint8Array | null>()
  let left = rows.filter(row => (row.bytes ?? 0) > SMALL)
  while (left.length > 0) {
    const batch = byteBatch(left)
    const among = ids(batch.map(row => row.id))
    const found = await trx.selectFrom('deliveries').select(['id', 'body']).where('id', 'in', among).execute()
    for (const { id, body } of found) bodies.set(id, body)
    left = left.slice(batch.length)
  }
  return bodies
}
