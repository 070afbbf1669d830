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

/** All that the operator's view asks of the inbox: what the tables look like is known here only. */

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
  /** Null where it is large or gone: a list reads no large ones. */
  readonly body: Uint8Array | null
}

export interface Page {
  readonly rows: readonly Row[]
  /** From where older ones are looked for; undefined: there are none. */
  readonly before: number | undefined
}

/** A body up to this size is read for a list, to say whom it concerns. */
const SMALL = 16_384
/** A part of the inbox is looked through at a time, and others get their turn; then the search says how far it came. */
const FIRST_WINDOW = 2_000
const WINDOW_MS = 15
const SEARCH_MS = 120
const FEW = 2_000
/** What the index of the senders other than Revento says of its rows: it is not used otherwise. */
const begunBySenders = sql<boolean>`inbox.provider <> 'revento' and inbox.state <> 'pending'`
const REPLAYABLE: readonly DeliveryState[] = ['dead', 'ignored']

type InboxExpression = ExpressionBuilder<Schema, 'inbox'>

/** States as literals, and senders with what their index says: partial indexes are not used otherwise. */
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

/** What of these can run again: its payload is there, and no sender waited for its answer. */
const canRunAgain = (eb: InboxExpression) =>
  eb.and([eb('body', 'is not', null), eb.not(isErased), eb('provider', 'not in', inlineProviders)])

export interface Arrival {
  readonly traceId: string | undefined
  readonly headers: Readonly<Record<string, string>>
  /** When it was last asked to run again, however that was asked. */
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

  /** The first delivery that came at that moment or later, as far as the clock ran on; found in twenty looks. */
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

  /** Looks through windows of ids, the newest first; they grow while they are answered fast, as from an index. */
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
   * The ids of all that wait or run; undefined where they are many. No index has them by id, so few are found by when
   * they are due, and many by looking through the inbox, where they are everywhere.
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

    /** How many a replay by this filter would run again, and up to which delivery; counts whatever time it takes. */
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

    /** One step of a replay, in one transaction: of instances that step at once each delivery gets to one. */
    step: (task: Pick<ReplaysTable, 'last_id'> & { id: number }, filter: Filter, size: number) =>
      transaction(query, async trx => {
        const held = await trx
          .selectFrom('replays')
          .selectAll()
          .where('id', '=', task.id)
          .where('state', '=', 'running')
          .where('last_id', '=', task.last_id)
          .$if(isPostgres(trx), select => select.forUpdate())
          .executeTakeFirst()
        if (!held) return
        const found = await trx
          .selectFrom('inbox')
          .select('id')
          .where(matches(filter))
          .where(canRunAgain)
          .where('platform', '=', platform)
          .where('id', '>', held.last_id)
          .where('id', '<=', held.through_id)
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
            last_id: Number(found.at(-1)?.id ?? held.last_id),
            replayed: held.replayed + Number(numUpdatedRows),
            stepped_at: runtime.now(),
          })
          .where('id', '=', task.id)
          .execute()
      }),

    /** Has a delivery that is done run again. `anew`: its finished `once` steps too, under new keys. */
    again: (id: number, anew: boolean) =>
      transaction(query, async trx => {
        const asked_at = runtime.now()
        const runnable = trx
          .selectFrom('inbox')
          .select('id')
          .where('id', '=', id)
          .where('type', '<>', DELETION_REQUIRED)
          .where(canRunAgain)
        const { numUpdatedRows } = await trx
          .updateTable('outcomes')
          .set(runAgain(asked_at))
          .where('id', 'in', runnable)
          .where('state', '=', 'done')
          .executeTakeFirst()
        if (numUpdatedRows !== 1n) return false
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

    /** In development: gives a delivery up, or makes it due. False where it does not wait. */
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

    /** What is stored of how it came: nothing of a person, so that it stays where that is erased. */
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

    /** The newest that are dead or failed and wait for their next run: enough to say what is the matter. */
    newest: (state: DeliveryState, limit: number) =>
      inbox()
        .select(['id', 'type', 'provider', 'event_id', 'last_error', 'received_at', 'finished_at', 'next_at'])
        .where(matches({ state }))
        .$if(state === 'pending', select => select.where('next_at', '>', 0).orderBy('next_at'))
        .orderBy('id', 'desc')
        .limit(limit)
        .execute(),

    /** No further than `most`, so that a page costs the same on the worst day. */
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
