import { type Selectable, sql } from 'kysely'
import { scopesOf } from '../oauth/grants.ts'
import type { Runtime } from '../process/runtime.ts'
import { waitLeft } from '../process/trusted-time.ts'
import type { ConnectionKey } from '../revento/platform.ts'
import type { Queries } from '../storage/database.ts'
import { isOf, type Owner } from '../storage/erasures.ts'
import type { ConnectionRow, Platform, SyncReason, SyncRunsTable } from '../storage/schema.ts'
import { eventLock, isPostgres, lock, transaction } from '../storage/sql.ts'
import { isGranted, type ListName, listOf } from './lists.ts'

export type RunRow = Selectable<SyncRunsTable>
export type { SyncReason } from '../storage/schema.ts'

/** How a run ends. With `again` the next run begins at once. */
export interface End {
  readonly outcome: 'done' | 'failed' | 'stopped'
  readonly problem?: string
  readonly again?: boolean
}

/** `restarts` counts the runs before this one that ended with `again`. */
interface Opening {
  readonly reason: SyncReason
  readonly restarts?: number
}

/** Stores the runs. A write under a claim names its fence, and does nothing where another process has the run. */
export interface Runs {
  /** Opens a run of this list, or returns the open one. Undefined where the connection or its list cannot be read. */
  open(key: ConnectionKey, list: ListName, o: Opening): Promise<RunRow | undefined>
  find(id: number): Promise<RunRow | undefined>
  /** Claims an open run of this platform that nobody works at; with `id` only that run. */
  claim(owner: string, among: { except: ReadonlySet<number>; id?: number }): Promise<RunRow | undefined>
  /** Resolves with false where another process has the run. */
  renew(run: RunRow): Promise<boolean>
  wait(run: RunRow, what: string | null, until: number | null): Promise<void>
  end(run: RunRow, end: End): Promise<void>
  /** For a process that stops: another process may go on with the run at once. */
  release(run: RunRow): Promise<void>
  /** The newest run that has not ended, and the newest that has, each undefined where there is none. */
  newest(key: ConnectionKey, list: ListName): Promise<{ open: RunRow | undefined; last: RunRow | undefined }>
}

/** A lease is renewed each third of this time. The run of a killed process goes on elsewhere after it. */
export const LEASE_MS = 30_000
/** The history of a connection's list is this long. */
const KEPT = 20
const MOST_OPEN = 1_000

export function createRuns(
  query: Queries,
  { platform, tellFirst }: { readonly platform: Platform; readonly tellFirst: boolean },
  runtime: Pick<Runtime, 'now'>,
): Runs {
  const ownerOf = ({ eventId, organizationId }: ConnectionKey): Owner => ({
    ...{ platform, event_id: eventId, organization_id: organizationId },
  })
  const of = (key: ConnectionKey, list: ListName) =>
    query
      .selectFrom('sync_runs')
      .selectAll()
      .where(isOf(ownerOf(key)))
      .where('list', '=', list)
  const newestOf = (key: ConnectionKey, list: ListName) => of(key, list).orderBy('id', 'desc').limit(1)
  const fenced = ({ id, fence }: RunRow) =>
    query
      .updateTable('sync_runs')
      .where('id', '=', id)
      .where('fence', '=', fence)
      .where('finished_at', 'is', null)

  async function prune(owner: Owner & Pick<RunRow, 'list'>): Promise<void> {
    const kept = query.selectFrom('sync_runs').select('id').where(isOf(owner)).where('list', '=', owner.list)
    await query
      .deleteFrom('sync_runs')
      .where(isOf(owner))
      .where('list', '=', owner.list)
      .where('finished_at', 'is not', null)
      .where('id', 'not in', kept.orderBy('id', 'desc').limit(KEPT))
      .execute()
  }

  return {
    open: (key, list, { reason, restarts = 0 }) =>
      transaction(query, async trx => {
        const owner = ownerOf(key)
        // The lock of the event keeps an ending from coming between the check and the new row.
        await lock(trx, eventLock(key.eventId))
        const connection = await trx
          .selectFrom('connections')
          .selectAll()
          .where(isOf(owner))
          .executeTakeFirst()
        if (!connection || !isReadable(connection)) return undefined
        const about = listOf({ list })
        if (about.isOptional && !isGranted(about, scopesOf(connection))) return undefined
        const { connected_at } = connection
        const mine = () => trx.selectFrom('sync_runs').selectAll().where(isOf(owner)).where('list', '=', list)
        const open = await mine().where('finished_at', 'is', null).executeTakeFirst()
        if (open?.connected_at === connected_at) return open
        const now = runtime.now()
        if (open)
          await trx
            .updateTable('sync_runs')
            .set({ finished_at: now, outcome: 'stopped', problem: 'connected_again', lease_owner: null })
            .where('id', '=', open.id)
            .execute()
        const done = await mine().where('outcome', '=', 'done').limit(1).executeTakeFirst()
        return trx
          .insertInto('sync_runs')
          .values({
            ...{ ...owner, list, reason, connected_at, created_at: now, phase: 'list', restarts },
            tells: done || tellFirst ? 1 : 0,
          })
          .returningAll()
          .executeTakeFirst()
      }),
    find: id => query.selectFrom('sync_runs').selectAll().where('id', '=', id).executeTakeFirst(),
    async claim(owner, { except, id }) {
      const now = runtime.now()
      const open = await query
        .selectFrom('sync_runs')
        .selectAll()
        .where('platform', '=', platform)
        .where('finished_at', 'is', null)
        .$if(id !== undefined, select => select.where('id', '=', id ?? 0))
        .orderBy('id')
        .limit(MOST_OPEN)
        .execute()
      for (const run of open) {
        if (except.has(run.id) || isLeased(run, now)) continue
        const { numUpdatedRows } = await fenced(run)
          .set({ lease_owner: owner, lease_until: now + LEASE_MS, fence: run.fence + 1 })
          .set({ started_at: run.started_at ?? now, waits_for: null, waits_until: null })
          .executeTakeFirst()
        if (numUpdatedRows === 1n) return this.find(run.id)
      }
      return undefined
    },
    async renew(run) {
      const until = runtime.now() + LEASE_MS
      return (await fenced(run).set({ lease_until: until }).executeTakeFirst()).numUpdatedRows === 1n
    },
    async wait(run, what, until) {
      await fenced(run).set({ waits_for: what, waits_until: until }).execute()
    },
    async end(run, { outcome, problem = null }) {
      const ended = { finished_at: runtime.now(), outcome, problem, cursor: null }
      await fenced(run)
        .set({ ...ended, lease_owner: null, waits_for: null, waits_until: null })
        .execute()
      await prune(run)
    },
    async release(run) {
      await fenced(run).set({ lease_owner: null, lease_until: 0 }).execute()
    },
    async newest(key, list) {
      const [open, last] = await Promise.all([
        newestOf(key, list).where('finished_at', 'is', null).executeTakeFirst(),
        newestOf(key, list).where('finished_at', 'is not', null).executeTakeFirst(),
      ])
      return { open, last }
    },
  }
}

/** Whether Revento can be asked for the connection's lists, now or after a suspension. */
const isReadable = ({ state }: Pick<ConnectionRow, 'state'>): boolean =>
  state === 'connected' || state === 'suspended'

const isLeased = ({ lease_owner, lease_until: until }: RunRow, now: number) =>
  lease_owner !== null && waitLeft({ since: until - LEASE_MS, until }, now, LEASE_MS) > 0

/** Reads the run if this process still has it, and locks it until the transaction ends. */
export const leasedRun = (trx: Queries, { id, fence }: RunRow) =>
  trx
    .selectFrom('sync_runs')
    .selectAll()
    .where('id', '=', id)
    .where('fence', '=', fence)
    .where('finished_at', 'is', null)
    .$if(isPostgres(trx), select => select.forUpdate())
    .executeTakeFirst()

export const plus = (column: 'pages' | 'counted' | 'added' | 'changed' | 'removed', n: number) =>
  sql<number>`${sql.ref(column)} + ${n}`
