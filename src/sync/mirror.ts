import { sql } from 'kysely'
import type { Runtime } from '../process/runtime.ts'
import type { Row } from '../revento/platform.ts'
import type { Queries } from '../storage/database.ts'
import { isOf, type Owner } from '../storage/erasures.ts'
import { PARTICIPANT_ID, rowOf } from '../storage/participant-rows.ts'
import type { ParticipantRecord } from '../storage/schema.ts'
import { eventLock, integer, lock, records, text, transaction } from '../storage/sql.ts'
import type { Incoming } from '../webhooks/inbox/append.ts'
import { type Change, compare, type Listed } from './compare.ts'
import { heldRun, plus, type RunRow } from './runs.ts'
import { newsOf } from './tell.ts'

/** A page that was read and found to be sound. `at` is its moment by Revento's clock. */
export interface ReadPage {
  readonly rows: readonly Row[]
  readonly at: string
  /** Null on the last page. */
  readonly next: string | null
}

/** Adds deliveries to a transaction; what it gives is called once that is committed. */
export type Tell = (trx: Queries, deliveries: readonly Incoming[]) => Promise<() => void>

/** Writes what a run has read. Undefined: the run is not this process's any more, or its connection has ended. */
export interface Mirror {
  /** A page, with what it changes, what is told of it, and where the run goes on. */
  page(run: RunRow, page: ReadPage): Promise<RunRow | undefined>
  /** Marks some of those that the last two passes missed; `left` is false when that was all. */
  judge(run: RunRow): Promise<{ run: RunRow; left: boolean } | undefined>
}

interface Held {
  readonly run: RunRow
  /** The number that the facts of a page have. */
  readonly delivery: number
  readonly tell: (changes: readonly Change[], at: string) => Promise<void>
}

/** With this many rows a batch blocks the event loop (SQLite) or the rows (PostgreSQL) for some milliseconds. */
const BATCH = 100

export function createMirror(query: Queries, tell: Tell, runtime: Pick<Runtime, 'now'>): Mirror {
  /**
   * Runs `work` while nobody else writes of this event: neither webhooks nor erasures, so that what it reads of the
   * rows still stands when it writes them.
   */
  async function fenced<T>(
    run: RunRow,
    work: (trx: Queries, held: Held) => Promise<T>,
  ): Promise<T | undefined> {
    let committed = () => {}
    const result = await transaction(query, async trx => {
      await lock(trx, eventLock(run.event_id))
      const held = await heldRun(trx, run)
      const connection = await trx
        .selectFrom('connections')
        .select(['state', 'connected_at', 'after_delivery'])
        .where(isOf(run))
        .executeTakeFirst()
      const isOver = !connection || ['revoked', 'deleted'].includes(connection.state)
      if (!held) return undefined
      if (isOver || connection.connected_at !== held.connected_at) {
        const ended = {
          outcome: 'stopped',
          problem: isOver ? 'connection_ended' : 'connected_again',
        } as const
        await update(trx, held)
          .set({ ...ended, finished_at: runtime.now(), lease_owner: null })
          .execute()
        return undefined
      }
      return work(trx, {
        run: held,
        delivery: connection.after_delivery + 1,
        async tell(changes, at) {
          const now = runtime.now()
          if (held.tells === 1)
            committed = await tell(
              trx,
              changes.map(change => newsOf(held, change, { at, now })),
            )
        },
      })
    })
    if (result !== undefined) committed()
    return result
  }

  const update = (trx: Queries, run: RunRow) =>
    trx.updateTable('sync_runs').where('id', '=', run.id).returningAll()

  return {
    page: (asked, { rows, at, next }) =>
      fenced(asked, async (trx, { run, delivery, tell }) => {
        const ids = rows.map(row => String(row[PARTICIPANT_ID]))
        const known = new Map((await knownAmong(trx, run, ids)).map(one => [one.participant_id, one]))
        const seen = { at, run: run.id, pass: run.pass, delivery, now: runtime.now() }
        const compared = rows.map(row => compare(row, known.get(String(row[PARTICIPANT_ID])), seen))
        await write(
          trx,
          run,
          compared.map(({ listed }) => listed),
        )
        const changes = compared.flatMap(({ change }) => change ?? [])
        await tell(changes, at)
        const of = (type: Change['type']) => changes.filter(change => change.type === type).length
        const counted = run.phase === 'list' ? rows.length : 0
        const fresh_at = run.fresh_at ?? at
        return update(trx, run)
          .set({ cursor: next, pages: plus('pages', 1), counted: plus('counted', counted), fresh_at })
          .set(next === null ? await nextPass(trx, { ...run, fresh_at }) : {})
          .set({
            added: plus('added', of('participant.added')),
            changed: plus('changed', of('participant.changed')),
          })
          .set({ pass_at: run.cursor === null ? at : run.pass_at, waits_for: null, waits_until: null })
          .executeTakeFirstOrThrow()
      }),
    judge: asked =>
      fenced(asked, async (trx, { run, tell }) => {
        if (run.pass > 1 && (await hasLost(trx, run))) return { run, left: false }
        const missed = unseen(trx, run, run.pass - 1).selectAll()
        const gone = await missed.orderBy('participant_id').limit(BATCH).execute()
        const ids = gone.map(({ participant_id }) => participant_id)
        if (gone.length > 0)
          await trx
            .updateTable('participants')
            .set({ gone_at: run.pass_at, updated_at: runtime.now() })
            .where(isOf(run))
            .where('participant_id', 'in', among(ids))
            .execute()
        await tell(
          gone.map(one => ({ type: 'participant.removed', id: one.participant_id, row: rowOf(one) })),
          run.pass_at ?? '',
        )
        const removed = await update(trx, run)
          .set({ removed: plus('removed', gone.length) })
          .executeTakeFirstOrThrow()
        return { run: removed, left: gone.length === BATCH }
      }),
  }
}

/** In a list that never rests nobody is judged. */
const MOST_PASSES = 5

/**
 * Whom a pass has missed may have been hidden: when somebody before them leaves the list while it is read, all behind
 * move up, and one slips past a page's border. The next pass then misses who has left. So another pass is made as long
 * as somebody is missed, until one sees everybody whom the pass before it saw.
 */
async function nextPass(trx: Queries, run: RunRow): Promise<Partial<Pick<RunRow, 'phase' | 'pass'>>> {
  const missed = await unseen(trx, run, run.pass).select('participant_id').limit(1).executeTakeFirst()
  const isSettled = run.pass > 1 && !(await hasLost(trx, run))
  if (!missed || isSettled || run.pass === MOST_PASSES) return { phase: 'judge' }
  return { phase: 'confirm', pass: run.pass + 1 }
}

/** Whether the pass before had seen somebody whom this one has not. */
const hasLost = (trx: Queries, run: RunRow) =>
  trx
    .selectFrom('participants')
    .select('participant_id')
    .where(isOf(run))
    .where('seen_run', '=', run.id)
    .where('seen_pass', '=', run.pass - 1)
    .limit(1)
    .executeTakeFirst()

/** Whom no pass from this one on has seen. Of whom an event has told since the run began is not judged: their page may be older. */
const unseen = (trx: Queries, run: RunRow, since: number) =>
  trx
    .selectFrom('participants')
    .where(isOf(run))
    .where(eb => eb.or([eb('seen_run', '<', run.id), eb('seen_pass', '<', since)]))
    .where('gone_at', 'is', null)
    .where('occurred_at', '<', run.fresh_at ?? '')

const among = (ids: readonly string[]) =>
  sql<string>`(select ${text('id')} from ${records(ids.map(id => ({ id })))})`

const knownAmong = (trx: Queries, owner: Owner, ids: readonly string[]): Promise<ParticipantRecord[]> =>
  trx
    .selectFrom('participants')
    .selectAll()
    .where(isOf(owner))
    .where('participant_id', 'in', among(ids))
    .execute()

const TEXTS = [
  ...['participant_id', 'name', 'name_at', 'application_status', 'status_at', 'data', 'data_at', 'role'],
  ...['last_reviewed_at', 'last_reviewer_id', 'last_review_action', 'last_type', 'occurred_at', 'listed_at'],
  'gone_at',
] as const satisfies (keyof Listed)[]
const NUMBERS = [
  ...['name_delivery', 'status_delivery', 'data_delivery', 'last_delivery', 'first_seen_at', 'seen_run'],
  'seen_pass',
  'updated_at',
] as const satisfies (keyof Listed)[]
const COLUMNS = [...TEXTS, ...NUMBERS]

/** One statement whose text never changes; see storage/sql. */
async function write(trx: Queries, { platform, event_id, organization_id }: Owner, rows: readonly Listed[]) {
  if (rows.length === 0) return
  const columns = sql.join(COLUMNS.map(name => sql.ref(name)))
  const values = sql.join([...TEXTS.map(text), ...NUMBERS.map(integer)])
  const taken = sql.join(COLUMNS.map(name => sql`${sql.ref(name)} = ${sql.ref(`excluded.${name}`)}`))
  await sql`insert into participants (platform, event_id, organization_id, ${columns})
    select ${platform}, ${event_id}, ${organization_id}, ${values} from ${records(rows)} where true
    on conflict (platform, event_id, organization_id, participant_id) do update set ${taken}`.execute(trx)
}
