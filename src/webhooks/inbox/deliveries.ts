import { type Expression, type ExpressionBuilder, type SqlBool, sql } from 'kysely'
import type { Grant } from '../../oauth/entitlement.ts'
import type { Call } from '../../revento/request.ts'
import type { Queries } from '../../storage/database.ts'
import { isErased, isOf } from '../../storage/erasures.ts'
import type { AttemptOutcome, AttemptsTable, DeliveryState, Schema } from '../../storage/schema.ts'
import { isPostgres, transaction } from '../../storage/sql.ts'
import { inlineProviders } from '../providers/index.ts'
import { keysOf } from './dedupe.ts'
import { MOST_RUNS, runAgain } from './outcomes.ts'

/** A delivery as the page, /deliveries and the operator's list show it. Times are ISO 8601 UTC. */
export interface DeliveryView {
  readonly id: string
  readonly provider: string
  readonly delivery_id: string | null
  readonly type: string
  readonly event_id: string | null
  readonly state: DeliveryState
  readonly attempts: number
  readonly received_at: string
  readonly finished_at: string | null
  readonly last_error: string | null
  readonly duplicate_of: string | null
}

/** A delivery with everything that is known of what became of it. */
export interface DeliveryStory extends DeliveryView {
  /** The signed id of the envelope. */
  readonly envelope_id: string
  readonly organization_id: string | null
  /** When a delivery that waits for its time runs next. */
  readonly next_at: string | null
  /** When the lease of a running delivery ends: by then its process has died, and the delivery runs again. */
  readonly lease_until: string | null
  /** False for a duplicate, and where the body was erased: neither can run again. */
  readonly stored: boolean
  /** Whether `replay` would have it run again. */
  readonly replayable: boolean
  /** The last hundred runs of its handler that have ended, oldest first. */
  readonly runs: readonly DeliveryRun[]
}

export interface DeliveryRun {
  readonly attempt: number
  readonly started_at: string
  /** Null where its process ended first. */
  readonly ended_at: string | null
  readonly outcome: AttemptOutcome
  readonly error: string | null
  readonly calls: readonly (Omit<Call, 'at'> & { readonly at: string })[]
}

/** `removed`: PAYLOAD_DAYS have removed the payload. `answered`: the sender has waited for its handler, and has gone. */
export type Replayed = 'replayed' | 'not_found' | 'not_dead' | 'erased' | 'removed' | 'answered'

/** Who asks: an organizer, by grants, or the operator, who may see everything and uses the commands. */
type Viewer = readonly Grant[] | 'operator'

/** Undefined members do not narrow the list. */
interface DeliveryFilter {
  readonly state?: DeliveryState | undefined
  readonly provider?: string | undefined
}

export interface Deliveries {
  /** Lists the newest of all deliveries, newest first, for the operator. */
  list(filter: DeliveryFilter, limit: number): Promise<DeliveryView[]>
  /**
   * Finds our id of the first delivery with a sender's id, from its header or its envelope. Without a dedupe key, as for
   * senders that their handler answers, it reads the whole inbox, unless only `keys` are to be read.
   */
  locate(senderId: string, providers: readonly string[], only?: 'keys'): Promise<string | undefined>
  /** Lists the newest deliveries of a grant, newest first. */
  newest(grant: Grant, limit: number): Promise<DeliveryView[]>
  /** Lists deliveries that wait for a person, newest first. */
  stuck(grant: Grant, state: 'dead' | 'parked', limit: number): Promise<DeliveryView[]>
  find(id: string, viewer: Viewer): Promise<DeliveryStory | undefined>
  /** Lets a dead or `ignored` delivery run again as if it were new. Of all who ask at once, one gets `replayed`. */
  replay(id: string, viewer: Viewer, now: number): Promise<Replayed>
}

const COLUMNS = [
  'id',
  'provider',
  'delivery_id',
  'type',
  'event_id',
  'state',
  'attempts',
  'received_at',
  'finished_at',
  'last_error',
  'duplicate_of',
] as const
const PLATFORMS = ['real', 'sandbox'] as const
/** An inbox id; a longer number is none. */
const ROW_ID = /^[1-9]\d{0,14}$/

export function createDeliveries(query: Queries): Deliveries {
  const views = (limit: number) =>
    query.selectFrom('inbox').select(COLUMNS).orderBy('id', 'desc').limit(limit)

  async function find(id: string, viewer: Viewer): Promise<DeliveryStory | undefined> {
    if (!ROW_ID.test(id)) return undefined
    const row = await query
      .selectFrom('inbox')
      .select([...COLUMNS, 'envelope_id', 'organization_id', 'next_at'])
      .select(eb => [eb('body', 'is not', null).as('stored'), isErased.as('erased')])
      .where('id', '=', Number(id))
      .where(isSeenBy(viewer))
      .executeTakeFirst()
    if (!row) return undefined
    const runs = await query
      .selectFrom('runs')
      .selectAll()
      .where('inbox_id', '=', row.id)
      .orderBy('started_at', 'desc')
      .limit(MOST_RUNS)
      .execute()
    const cutShort = runs.some(run => run.ended_at === null)
    const steps = cutShort ? await stepsOf(query, row.id) : []
    const { envelope_id, organization_id, next_at, stored, erased, ...view } = row
    return {
      ...viewOf(view),
      envelope_id,
      organization_id,
      next_at: row.state === 'pending' && next_at > 0 ? iso(next_at) : null,
      lease_until: row.state === 'running' ? iso(next_at) : null,
      stored: Boolean(stored) && !erased,
      replayable: Boolean(stored) && !erased && isOver(row.state) && !inlineProviders.includes(row.provider),
      runs: runs.reverse().map(run => runOf(run, steps)),
    }
  }

  return {
    async list({ state, provider }, limit) {
      let found = views(limit)
      if (state) found = found.where('state', '=', sql.lit(state))
      if (provider) found = found.where('provider', '=', provider)
      return (await found.execute()).map(viewOf)
    },
    async locate(senderId, providers, only) {
      const ids = { id: 0, delivery_id: senderId.toLowerCase(), envelope_id: senderId }
      const keys = providers.flatMap(provider =>
        PLATFORMS.flatMap(platform => Object.values(keysOf({ provider, platform, ...ids }))),
      )
      const row = await query
        .selectFrom('delivery_keys')
        .select('inbox_id')
        .where(
          'key',
          'in',
          keys.filter(key => key !== undefined),
        )
        .executeTakeFirst()
      if (row) return String(row.inbox_id)
      if (only === 'keys') return undefined
      const unkeyed = await query
        .selectFrom('deliveries')
        .select('id')
        .where(eb => eb('envelope_id', '=', senderId).or('delivery_id', '=', senderId.toLowerCase()))
        .orderBy('id')
        .limit(1)
        .executeTakeFirst()
      return unkeyed && String(unkeyed.id)
    },
    async newest(grant, limit) {
      return (
        await views(limit)
          .where(isSeenBy([grant]))
          .execute()
      ).map(viewOf)
    },
    async stuck(grant, state, limit) {
      const { platform, eventId: event_id, organizationId: organization_id } = grant
      const stuck = query
        .selectFrom('outcomes')
        .select('id')
        .where(isOf({ platform, event_id, organization_id }))
        // The state is a literal: a partial index is not used for one that is known only when the statement runs.
        .where('state', '=', sql.lit(state))
        .orderBy('id', 'desc')
        .limit(limit)
      return (await views(limit).where('id', 'in', stuck).execute()).map(viewOf)
    },
    find,
    async replay(id, viewer, now) {
      if (!ROW_ID.test(id)) return 'not_found'
      if (await transaction(query, trx => makeDue(trx, Number(id), viewer, now))) return 'replayed'
      const found = await find(id, viewer)
      if (!found) return 'not_found'
      if (!isOver(found.state)) return 'not_dead'
      if (inlineProviders.includes(found.provider)) return 'answered'
      if (found.stored) return 'not_dead'
      const row = await query
        .selectFrom('inbox')
        .select(isErased.as('erased'))
        .where('id', '=', Number(id))
        .executeTakeFirst()
      return row?.erased ? 'erased' : 'removed'
    },
  }
}

/** Makes a delivery due; false where another caller has, or this one may not. */
async function makeDue(trx: Queries, id: number, viewer: Viewer, now: number): Promise<boolean> {
  const over = trx
    .selectFrom('outcomes')
    .select('id')
    .where('id', '=', id)
    .where('state', 'in', ['dead', 'ignored'])
    // The lock waits for a removal of the body under way, so that the next statement sees it.
    .$if(isPostgres(trx), select => select.forUpdate())
  if (!(await over.executeTakeFirst())) return false
  const runnable = await trx
    .selectFrom('inbox')
    .select('id')
    .where('id', '=', id)
    .where('body', 'is not', null)
    .where(eb => eb.not(isErased))
    .where('provider', 'not in', inlineProviders)
    .where(isSeenBy(viewer))
    .executeTakeFirst()
  if (!runnable) return false
  await trx.updateTable('outcomes').set(runAgain(now)).where('id', '=', id).execute()
  return true
}

/** The rows of an inbox that belong to one of these grants; without a grant, none. */
const isSeenBy =
  (viewer: Viewer) =>
  (eb: ExpressionBuilder<Schema, 'inbox'>): Expression<SqlBool> =>
    viewer === 'operator'
      ? eb.lit(true)
      : eb.or(
          viewer.map(({ platform, eventId, organizationId }) =>
            eb.and({ platform, event_id: eventId, organization_id: organizationId }),
          ),
        )

/** Whether a delivery in this state may be replayed. */
const isOver = (state: DeliveryState) => state === 'dead' || state === 'ignored'

interface Row extends Omit<DeliveryView, 'id' | 'received_at' | 'finished_at' | 'duplicate_of'> {
  readonly id: number
  readonly received_at: number
  readonly finished_at: number | null
  readonly duplicate_of: number | null
}

const viewOf = (row: Row): DeliveryView => ({
  ...row,
  id: String(row.id),
  received_at: iso(row.received_at),
  finished_at: row.finished_at === null ? null : iso(row.finished_at),
  duplicate_of: row.duplicate_of === null ? null : String(row.duplicate_of),
})

/** The effects that a run had finished before its process ended: nothing else of it is known. */
const stepsOf = (query: Queries, delivery: number) =>
  query
    .selectFrom('effects')
    .select(['name', 'attempt', 'started_at', 'ended_at'])
    .where('inbox_id', '=', delivery)
    .orderBy('started_at')
    .limit(MOST_RUNS)
    .execute()

type Step = Awaited<ReturnType<typeof stepsOf>>[number]

const isStepOf = (run: AttemptsTable) => (step: Step) =>
  run.ended_at === null && step.attempt === run.attempt && step.started_at >= run.started_at

const callOf = ({ name, started_at, ended_at }: Step): Call => ({
  ...{ at: started_at, ms: ended_at - started_at, what: `once ${name}`, result: 'done' },
})

function runOf(row: AttemptsTable, steps: readonly Step[]): DeliveryRun {
  const calls = [...(JSON.parse(row.calls ?? '[]') as Call[]), ...steps.filter(isStepOf(row)).map(callOf)]
  return {
    attempt: row.attempt,
    started_at: iso(row.started_at),
    ended_at: row.ended_at === null ? null : iso(row.ended_at),
    outcome: row.outcome,
    error: row.error,
    calls: calls.map(call => ({ ...call, at: iso(call.at) })),
  }
}

const iso = (ms: number) => new Date(ms).toISOString()
