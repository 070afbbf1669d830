import type { Runtime } from '../process/runtime.ts'
import type { Row } from '../revento/platform.ts'
import type { Queries } from '../storage/database.ts'
import { isOf } from '../storage/erasures.ts'
import { eventLock, lock, transaction } from '../storage/sql.ts'
import type { Incoming } from '../webhooks/inbox/append.ts'
import { SYNC } from '../webhooks/providers/index.ts'
import type { Change } from './compare.ts'
import { idOf, listOf } from './lists.ts'
import { among, hasLost, knownAmong, nextPass, unseen, write } from './rows.ts'
import { leasedRun, plus, type RunRow } from './runs.ts'

/** A page that was read and can be used. `at` is its moment by Revento's clock. */
export interface ReadPage {
  readonly rows: readonly Row[]
  readonly at: string
  /** Null on the last page. */
  readonly next: string | null
}

/** Adds deliveries to a transaction, and returns a function to call once that is committed. */
export type Tell = (trx: Queries, deliveries: readonly Incoming[]) => Promise<() => void>

/** Writes what a run has read. Undefined where another process has the run, or its connection has ended. */
export interface Mirror {
  /** Stores a page with what it changes, its news, and where the run goes on. */
  page(run: RunRow, page: ReadPage): Promise<RunRow | undefined>
  /** Marks some of those that the last two passes missed; `left` is false when that was all. */
  judge(run: RunRow): Promise<{ run: RunRow; left: boolean } | undefined>
}

interface Fenced {
  readonly run: RunRow
  /** The delivery number of a page's facts. */
  readonly delivery: number
  readonly tell: (changes: readonly Change[], at: string) => Promise<void>
}

/** With this many rows a batch blocks the event loop (SQLite) or the rows (PostgreSQL) for some milliseconds. */
const BATCH = 100

export function createMirror(query: Queries, tell: Tell, runtime: Pick<Runtime, 'now'>): Mirror {
  /** Runs `work` while no webhook and no erasure writes rows of this event, so that what it has read stays true. */
  async function fenced<T>(
    run: RunRow,
    work: (trx: Queries, leased: Fenced) => Promise<T>,
  ): Promise<T | undefined> {
    let committed = () => {}
    const result = await transaction(query, async trx => {
      await lock(trx, eventLock(run.event_id))
      const leased = await leasedRun(trx, run)
      const connection = await trx
        .selectFrom('connections')
        .select(['state', 'connected_at', 'after_delivery'])
        .where(isOf(run))
        .executeTakeFirst()
      const isOver = !connection || ['revoked', 'deleted'].includes(connection.state)
      if (!leased) return undefined
      if (isOver || connection.connected_at !== leased.connected_at) {
        const ended = {
          outcome: 'stopped',
          problem: isOver ? 'connection_ended' : 'connected_again',
        } as const
        await update(trx, leased)
          .set({ ...ended, finished_at: runtime.now(), lease_owner: null })
          .execute()
        return undefined
      }
      return work(trx, {
        run: leased,
        delivery: connection.after_delivery + 1,
        async tell(changes, at) {
          const now = runtime.now()
          if (leased.tells === 1)
            committed = await tell(
              trx,
              changes.map(change => newsOf(leased, change, { at, now })),
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
        const list = listOf(run)
        const ids = rows.map(row => String(row[list.member]))
        const known = new Map((await knownAmong(trx, run, ids)).map(one => [idOf(one), one]))
        const seen = { at, run: run.id, pass: run.pass, delivery, now: runtime.now() }
        const compared = rows.map(row => list.compare(row, known.get(String(row[list.member])), seen))
        await write(
          trx,
          run,
          compared.map(({ listed }) => listed),
        )
        const changes = compared.flatMap(({ change }) => change ?? [])
        await tell(changes, at)
        const of = (what: Change['what']) => changes.filter(change => change.what === what).length
        const counted = run.phase === 'list' ? rows.length : 0
        const fresh_at = run.fresh_at ?? at
        return update(trx, run)
          .set({ cursor: next, pages: plus('pages', 1), counted: plus('counted', counted), fresh_at })
          .set(next === null ? await nextPass(trx, { ...run, fresh_at }) : {})
          .set({
            added: plus('added', of('added')),
            changed: plus('changed', of('changed')),
          })
          .set({ pass_at: run.cursor === null ? at : run.pass_at, waits_for: null, waits_until: null })
          .executeTakeFirstOrThrow()
      }),
    judge: asked =>
      fenced(asked, async (trx, { run, tell }) => {
        if (run.pass > 1 && (await hasLost(trx, run))) return { run, left: false }
        const missed = unseen(trx, run, run.pass - 1).selectAll()
        const { column, name, rowOf } = listOf(run)
        const gone = await missed.orderBy(column).limit(BATCH).execute()
        const ids = gone.map(idOf)
        if (gone.length > 0)
          await trx
            .updateTable(name)
            .set({ gone_at: run.pass_at, updated_at: runtime.now() })
            .where(isOf(run))
            .where(column, 'in', among(ids))
            .execute()
        await tell(
          gone.map(one => ({ what: 'removed', id: idOf(one), row: rowOf(one) })),
          run.pass_at ?? '',
        )
        const removed = await update(trx, run)
          .set({ removed: plus('removed', gone.length) })
          .executeTakeFirstOrThrow()
        return { run: removed, left: gone.length === BATCH }
      }),
  }
}

/** Makes a delivery of a change, with the envelope of Revento's events and an id that is new in each run. */
function newsOf(run: RunRow, change: Change, { at, now }: { at: string; now: number }): Incoming {
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
