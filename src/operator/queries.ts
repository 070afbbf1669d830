import { type ExpressionBuilder, sql } from 'kysely'
import type { Runtime } from '../process/runtime.ts'
import { DELETION_REQUIRED } from '../revento/platform.ts'
import type { Queries } from '../storage/database.ts'
import { isErased } from '../storage/erasures.ts'
import type { DeliveryState, Platform, ReplaysTable, Schema } from '../storage/schema.ts'
import { ids, isOpen, isPostgres, transaction } from '../storage/sql.ts'
import { runAgain } from '../webhooks/inbox/outcomes.ts'
import { inlineProviders } from '../webhooks/providers/index.ts'
import type { Filter } from './filter.ts'

/** The queries of the operator's view on the inbox. Its other files do not know the tables. */

export interface Row {
  readonly id: number
  readonly provider: string
  readonly type: string
  readonly event_id: string | null
  readonly state: DeliveryState
  readonly attempts: number
  readonly next_at: number
  readonly received_at: number
  readonly finished_at: number | null
  readonly last_error: string | null
  readonly duplicate_of: number | null
  /** Null where the body is large, which a list does not read, or gone. */
  readonly body: Uint8Array | null
}

export interface Page {
  readonly rows: readonly Row[]
  /** The id from which a search for older deliveries goes on; undefined where there are none. */
  readonly before: number | undefined
}

/** A body up to this size is read for a list, to say whom it concerns. */
const SMALL = 16_384
/** A search reads the inbox in windows, between which others get their turn. At its time limit it says how far it came. */
const FIRST_WINDOW = 2_000
const WINDOW_MS = 15
const SEARCH_MS = 120
const FEW = 2_000
/** The condition of the partial index on senders other than Revento, which is not used without it. */
const begunBySenders = sql<boolean>`inbox.provider <> 'revento' and inbox.state <> 'pending'`
const REPLAYABLE: readonly DeliveryState[] = ['dead', 'ignored']

type InboxExpression = ExpressionBuilder<Schema, 'inbox'>

/** States are literals, because partial indexes are not used with parameters. */
const matches =
  ({ state, provider, type, event_id, since, until }: Filter) =>
  (eb: InboxExpression) =>
    eb.and([
      ...(state === 'pending' || state === 'running' ? [isOpen] : []),
      ...(state ? [eb('state', '=', sql.lit(state))] : []),
      ...(provider ? [eb('provider', '=', provider)] : []),
      ...(type ? [eb('type', '=', type)] : []),
      ...(event_id ? [eb('event_id', '=', event_id)] : []),
      ...(since !== undefined ? [eb('received_at', '>=', since)] : []),
      ...(until !== undefined ? [eb('received_at', '<', until)] : []),
    ])

/** Whether a delivery can run again: its payload is there, and no sender waited for its answer. */
const canRunAgain = (eb: InboxExpression) =>
  eb.and([eb('body', 'is not', null), eb.not(isErased), eb('provider', 'not in', inlineProviders)])

export interface Arrival {
  readonly traceId: string | undefined
  readonly headers: Readonly<Record<string, string>>
  /** When somebody last asked, in whatever way, that it run again. */
  readonly askedAt: number | undefined
}

export function createInboxQueries(
  query: Queries,
  platform: Platform,
  runtime: Pick<Runtime, 'monotonic' | 'now'>,
) {
  const inbox = () => query.selectFrom('inbox')

  const newestId = async () =>
    Number((await inbox().select('id').orderBy('id', 'desc').limit(1).executeTakeFirst())?.id ?? 0)
  const oldestId = async () =>
    Number((await inbox().select('id').orderBy('id').limit(1).executeTakeFirst())?.id ?? 1)

  /** Finds the first delivery from this moment on by halving, in twenty looks. It relies on a clock that only ran forward. */
  async function firstSince(moment: number, low: number, high: number): Promise<number> {
    let [from, to] = [low, high + 1]
    while (from < to) {
      const middle = Math.floor((from + to) / 2)
      const row = await inbox()
        .select(['id', 'received_at'])
        .where('id', '>=', middle)
        .orderBy('id')
        .limit(1)
        .executeTakeFirst()
      if (row && row.received_at < moment) from = Number(row.id) + 1
      else to = middle
    }
    return from
  }

  /** The ids between which the filter's time lies. */
  async function between({ since, until }: Filter, before: number | undefined) {
    const [oldest, newest] = [await oldestId(), await newestId()]
    const low = since === undefined ? oldest : await firstSince(since, oldest, newest)
    const end = until === undefined ? newest + 1 : await firstSince(until, oldest, newest)
    return { low, high: Math.min(end, before ?? end) }
  }

  /** Looks through windows of ids, the newest first. A window grows while its answers are fast, as from an index. */
  async function windows(
    { low, high }: { low: number; high: number },
    look: (from: number, to: number) => Promise<boolean>,
    withinMs = SEARCH_MS,
  ): Promise<number> {
    const until = runtime.monotonic() + withinMs
    let size = FIRST_WINDOW
    let to = high
    while (to > low && runtime.monotonic() < until) {
      const from = Math.max(low, to - size)
      const begun = runtime.monotonic()
      const isEnough = await look(from, to)
      const ms = runtime.monotonic() - begun
      size = ms < WINDOW_MS ? size * 4 : Math.max(FIRST_WINDOW, Math.floor(size / 2))
      to = from
      if (isEnough) break
      await new Promise<void>(resolve => setImmediate(resolve))
    }
    return to
  }

  const listed = (filter: Filter, { low, high }: { low: number; high: number }, limit: number) =>
    inbox()
      .select(['id', 'provider', 'type', 'event_id', 'state', 'attempts', 'next_at', 'received_at'])
      .select(['finished_at', 'last_error', 'duplicate_of'])
      .select(sql<Uint8Array | null>`case when length(body) <= ${sql.lit(SMALL)} then body end`.as('body'))
      .where(matches(filter))
      .where('id', '>=', low)
      .where('id', '<', high)
      .orderBy('id', 'desc')
      .limit(limit)

  /**
   * The ids of all deliveries that wait or run; undefined where there are many. No index has these by id: a few are found by
   * the time when they are due, and many by a search through the inbox, where they are everywhere.
   */
  async function openIds(): Promise<number[] | undefined> {
    const due = inbox().select('id').where(isOpen).orderBy('next_at', 'desc').orderBy('id', 'desc')
    const rows = await due.limit(FEW + 1).execute()
    return rows.length > FEW ? undefined : rows.map(row => Number(row.id))
  }

  return {
    async list(filter: Filter, limit: number, before?: number): Promise<Page> {
      const range = await between(filter, before)
      const isOfSender = filter.provider !== undefined && filter.provider !== 'revento'
      const isOpenOnly = filter.state === 'pending' || filter.state === 'running'
      const open = isOfSender || isOpenOnly ? await openIds() : undefined
      const rows: Row[] = []
      if (open && open.length > 0)
        rows.push(
          ...(await listed(filter, range, limit + 1)
            .where('id', 'in', ids(open))
            .execute()),
        )
      const begun = rows.length
      const look = async (from: number, to: number) => {
        const part = listed(filter, { low: from, high: to }, limit + 1 - (rows.length - begun))
        rows.push(...(await (open ? part.where(begunBySenders) : part).execute()))
        return rows.length - begun > limit
      }
      const reached = isOpenOnly && open ? range.low : await windows(range, look)
      const all = [...new Map(rows.map(row => [row.id, row])).values()].toSorted((a, b) => b.id - a.id)
      const isMore = all.length > limit
      const shown = all.slice(0, limit)
      return { rows: shown, before: isMore ? shown.at(-1)?.id : reached > range.low ? reached : undefined }
    },

    /** Counts, for a minute at most, the deliveries that a replay by this filter would run again, and finds the last one. */
    async countReplayable(filter: Filter): Promise<{ total: number; through: number }> {
      const range = await between(filter, undefined)
      let total = 0
      if (filter.state !== undefined && REPLAYABLE.includes(filter.state))
        await windows(
          range,
          async (from, to) => {
            const found = inbox().where(matches(filter)).where(canRunAgain)
            const some = found.where('platform', '=', platform).where('id', '>=', from).where('id', '<', to)
            const row = await some.select(eb => eb.fn.countAll<number>().as('n')).executeTakeFirstOrThrow()
            total += Number(row.n)
            return false
          },
          60_000,
        )
      return { total, through: range.high - 1 }
    },

    /** Makes one step of a replay in a transaction: where instances step at once, each delivery gets to one of them. */
    step: (task: Pick<ReplaysTable, 'last_id'> & { id: number }, filter: Filter, size: number) =>
      transaction(query, async trx => {
        const replay = await trx
          .selectFrom('replays')
          .selectAll()
          .where('id', '=', task.id)
          .where('state', '=', 'running')
          .where('last_id', '=', task.last_id)
          .$if(isPostgres(trx), select => select.forUpdate())
          .executeTakeFirst()
        if (!replay) return
        const found = await trx
          .selectFrom('inbox')
          .select('id')
          .where(matches(filter))
          .where(canRunAgain)
          .where('platform', '=', platform)
          .where('id', '>', replay.last_id)
          .where('id', '<=', replay.through_id)
          .orderBy('id')
          .limit(size)
          .execute()
        const { numUpdatedRows } = await trx
          .updateTable('outcomes')
          .set(runAgain(runtime.now()))
          .where('id', 'in', ids(found.map(row => Number(row.id))))
          .where('state', 'in', REPLAYABLE)
          .executeTakeFirst()
        await trx
          .updateTable('replays')
          .set({
            state: found.length < size ? 'done' : 'running',
            last_id: Number(found.at(-1)?.id ?? replay.last_id),
            replayed: replay.replayed + Number(numUpdatedRows),
            stepped_at: runtime.now(),
          })
          .where('id', '=', task.id)
          .execute()
      }),

    /** Has a delivery that is done run again. With `anew` its finished `once` steps run too, under new keys. */
    again: (id: number, anew: boolean) =>
      transaction(query, async trx => {
        const asked_at = runtime.now()
        const runnable = trx
          .selectFrom('inbox')
          .select('id')
          .where('id', '=', id)
          .where('type', '<>', DELETION_REQUIRED)
          .where(canRunAgain)
        const done = await trx
          .selectFrom('outcomes')
          .select(['id as inbox_id', 'started_at', 'finished_at as ended_at'])
          .where('id', 'in', runnable)
          .where('state', '=', 'done')
          .$if(isPostgres(trx), select => select.forUpdate())
          .executeTakeFirst()
        if (!done) return false
        const { started_at } = done
        if (started_at !== null)
          await trx
            .insertInto('attempts')
            .values({ ...done, started_at, attempt: 1, outcome: 'done' })
            .execute()
        await trx.updateTable('outcomes').set(runAgain(asked_at)).where('id', '=', id).execute()
        await trx
          .insertInto('reruns')
          .values({ inbox_id: id, asked_at, anew: anew ? 1 : 0 })
          .execute()
        if (anew) await trx.deleteFrom('effects').where('inbox_id', '=', id).execute()
        return true
      }),

    reruns: (id: number) =>
      query
        .selectFrom('reruns')
        .select(['asked_at', 'anew'])
        .where('inbox_id', '=', id)
        .orderBy('asked_at')
        .limit(100)
        .execute(),

    /** For development: makes a waiting delivery dead, or due now. False where it does not wait. */
    async force(id: number, to: 'dead' | 'due'): Promise<boolean> {
      const now = runtime.now()
      const { numUpdatedRows } = await query
        .updateTable('outcomes')
        .set(
          to === 'due'
            ? { next_at: now }
            : { state: 'dead', finished_at: now, last_error: 'given up by the operator' },
        )
        .where('id', '=', id)
        .where('state', 'in', to === 'due' ? ['pending'] : ['pending', 'parked'])
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },

    async payload(id: number): Promise<string | undefined> {
      const row = await inbox()
        .select('body')
        .where('id', '=', id)
        .where(eb => eb.not(isErased))
        .executeTakeFirst()
      return row?.body ? Buffer.from(row.body).toString() : undefined
    },

    /** What is stored of how a delivery came. Nothing of it is about a person, so an erasure leaves it. */
    async arrival(id: number): Promise<Arrival> {
      const row = await query
        .selectFrom('deliveries')
        .leftJoin('outcomes', 'outcomes.id', 'deliveries.id')
        .select(['trace_id', 'headers', 'asked_at'])
        .where('deliveries.id', '=', id)
        .executeTakeFirst()
      return {
        traceId: row?.trace_id?.split('-', 1)[0],
        headers: JSON.parse(row?.headers ?? '{}') as Arrival['headers'],
        askedAt: row?.asked_at == null ? undefined : Number(row.asked_at),
      }
    },

    /** The newest deliveries that are dead, or that failed and wait for their next run. */
    newest: (state: DeliveryState, limit: number) =>
      inbox()
        .select(['id', 'type', 'provider', 'event_id', 'last_error', 'received_at', 'finished_at', 'next_at'])
        .where(matches({ state }))
        .$if(state === 'pending', select => select.where('next_at', '>', 0).orderBy('next_at'))
        .orderBy('id', 'desc')
        .limit(limit)
        .execute(),

    /** Counts no further than `most`, so that a page costs the same on the worst day. */
    async count(state: DeliveryState, most: number): Promise<number> {
      const some = inbox().select(sql.lit(1).as('one')).where(matches({ state })).limit(most).as('some')
      const row = await query
        .selectFrom(some)
        .select(eb => eb.fn.countAll<number>().as('n'))
        .executeTakeFirstOrThrow()
      return Number(row.n)
    },

    has: async (filter: Filter) =>
      (await inbox().select('id').where(matches(filter)).limit(1).executeTakeFirst()) !== undefined,
  }
}

export type InboxQueries = ReturnType<typeof createInboxQueries>
