import { sql } from 'kysely'
import type { LeaseEnds } from '../../process/trusted-time.ts'
import { DELETION_REQUIRED } from '../../revento/platform.ts'
import type { Queries } from '../../storage/database.ts'
import { erasedAmong, markErased } from '../../storage/erasures.ts'
import type { DeliveryState, OutcomesTable, Platform } from '../../storage/schema.ts'
import {
  byteBatch,
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
  /** Who holds its lease: this process. */
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
  /** Null where it is gone, or not small. */
  readonly body: Uint8Array | null
  /** Its lease ran out: counted in `crashes` already. */
  readonly interrupted: boolean
}

export interface ClaimOptions {
  readonly owner: string
  /** What another platform's secret signed waits until the app runs on that one. */
  readonly platform: Platform
  readonly limit: number
  /** Handlers that run now: with some, nothing is claimed that has to run alone. */
  readonly running: number
  /** Claimed by this process and not settled yet: still its own, whatever the clock says of their leases. */
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
  /** No handler, or of an event whose data was erased. */
  readonly ignored: number[]
  /** Their process died each time, or they were claimed as often as may be. */
  readonly exhausted: number[]
  /** Claimed before by a process that ended. */
  readonly interrupted: number[]
  /** What was claimed runs alone, or what is due waits for a moment in which it can. */
  readonly alone: boolean
}

/** The one that keeps ending its process is given up before it has done so six times. */
export const MAX_CRASHES = 5
/** One crash may be anybody's, also a restart; after the second it runs alone, so that the third accuses nobody else. */
const ALONE_AFTER = 2
/** Up to this size a body is read with its row: most are, and are not looked for again. */
const SMALL = 8 * 1024
/** Of bodies, for each half of a claim: they are held in memory until their handlers begin. */
const MOST_BYTES = 16 * 1024 * 1024

/**
 * One transaction takes what is due, resolves both dedupe keys of what is new, and leases the rest: so no handler
 * ever starts on a duplicate. A lease that ran out (its process ended) is due like everything else.
 */
export function claim(query: Queries, o: ClaimOptions): Promise<ClaimResult> {
  return transaction(query, async trx => {
    // Two instances may each see one of two copies: the second looks when the first has recorded its keys, and its leases.
    // Up to 064 only the keys were looked for in turn, hence the name: an instance of then takes its turn among these.
    await lock(trx, 'delivery keys')
    const { rows, alone } = apart(await dueRows(trx, o), o.running)
    const duplicates = await findDuplicates(
      trx,
      rows.filter(row => row.attempts === 0),
    )
    const repeated = new Set(duplicates.map(d => d.id))
    // In the commit that claims it: nothing that an ending erases is claimed with it or after it.
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
/** Not locked, which would write each row to PostgreSQL's log: nobody else claims meanwhile, and `lease` looks again. */
const dueNew = due('next_at = 0')
/** Past what its process, or what removes or replays it, has in hand. */
const dueAgain = due(
  `next_at > 0 and next_at <= $3 and (state = 'pending' or next_at > $4)
  and o.id not in (select cast(r.key as bigint) from json_each($5) as r)`,
  { onPostgres: ' for update of o skip locked' },
)

/**
 * New ones (`next_at` 0) are due whatever the clock says. Half of the room goes to what has waited before, so that
 * neither holds up the other; what one of them leaves, the other gets.
 */
async function dueRows(trx: Queries, { limit, now, ends, held, platform }: ClaimOptions): Promise<Due[]> {
  const waited = await dueAgain(trx, platform, limit, now, ends.after, idsText(held))
  const again = byteBatch(waited, MOST_BYTES)
  const room = limit - Math.min(again.length, Math.ceil(limit / 2))
  const fresh = byteBatch(await dueNew(trx, platform, room), MOST_BYTES)
  // The rows themselves: to copy each takes longer than to read it.
  return [...again.slice(0, limit - fresh.length), ...fresh].map(row =>
    Object.assign(row, {
      crashes: row.crashes + (row.state === 'running' ? 1 : 0),
      interrupted: row.state === 'running',
    }),
  )
}

/** What has crashed twice is taken by itself, while nothing else runs here. */
function apart(due: Due[], running: number): { rows: Due[]; alone: boolean } {
  const suspect = due.find(row => row.crashes >= ALONE_AFTER)
  if (!suspect) return { rows: due, alone: false }
  return { rows: running === 0 ? [suspect] : [], alone: true }
}

/** When it began is when it was claimed; when its process ended, nobody knows. */
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

const leaseAll = statement<{ id: number }>(
  `update outcomes set state = 'running', attempts = attempts + 1, lease_owner = $1, next_at = $2
  where id in (select cast(r.key as bigint) from json_each($3) as r) and state in ('pending', 'running')`,
  { onPostgres: ' returning id' },
)

/** Of these what is still open: on PostgreSQL an erasure, or the operator, may have ended one meanwhile. */
async function lease(trx: Queries, due: readonly Due[], o: ClaimOptions): Promise<Claimed[]> {
  if (due.length === 0) return []
  const leased = await leaseAll(trx, o.owner, o.now + o.leaseMs, idsText(due.map(row => row.id)))
  const has = new Set(leased.map(row => row.id))
  const runnable = isPostgres(trx) ? due.filter(row => has.has(row.id)) : due
  const bodies = await largeBodies(trx, runnable)
  // The one that has waited longest begins.
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

async function largeBodies(trx: Queries, rows: readonly Due[]): Promise<Map<number, Uint8Array | null>> {
  const large = rows.filter(row => (row.bytes ?? 0) > SMALL).map(row => row.id)
  if (large.length === 0) return new Map()
  const found = await trx
    .selectFrom('deliveries')
    .select(['id', 'body'])
    .where('id', 'in', ids(large))
    .execute()
  return new Map(found.map(({ id, body }) => [id, body]))
}
