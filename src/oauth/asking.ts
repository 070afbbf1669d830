import type { Runtime } from '../process/runtime.ts'
import { isOlderThan, waitLeft } from '../process/trusted-time.ts'
import type { Queries } from '../storage/database.ts'
import { MARGIN_MS } from '../storage/erasures.ts'
import { type GrantRow, updateGrant } from '../storage/grants.ts'
import type { ConnectionRow, Platform } from '../storage/schema.ts'
import { lock, transaction } from '../storage/sql.ts'

const MINUTE_MS = 60_000
const DAY_MS = 24 * 3_600_000
/** Half of the 90 days after which Revento ends an unused connection: time enough for many tries. */
const UNUSED_MS = 45 * DAY_MS
const LONGEST_MS = 4 * 3_600_000
/** A batch blocks the event loop for some milliseconds; the pause lets other work run in between. */
const BATCH = 200
const PAUSE_MS = 10

/** Whether less than `ms` have passed since `moment`. */
const isWithin = (moment: number, ms: number, now: number) =>
  waitLeft({ since: moment, until: moment + ms }, now, ms) > 0

/** The pause between two tries doubles from a minute to four hours. */
const isTooSoon = (askedAt: number, asks: number, now: number) =>
  isWithin(askedAt, Math.min(MINUTE_MS * 2 ** asks, LONGEST_MS), now)

/** Suspended and unused connections, with which the app calls Revento without being asked to. */
export function createAsking(query: Queries, platform: Platform, runtime: Pick<Runtime, 'now' | 'sleep'>) {
  const all = (trx: Queries, state: 'connected' | 'suspended') =>
    trx.selectFrom('connections').where('platform', '=', platform).where('state', '=', state)

  /**
   * Changes the rows in batches, each committed; a changed row is not found again. The version stays, so that a refresh
   * under way is still stored and its new pair not lost.
   */
  async function change(
    from: 'connected' | 'suspended',
    values: { state: 'connected' | 'suspended'; reason: string | null },
    connectedBy: number,
  ): Promise<number> {
    const now = runtime.now()
    for (let changed = 0; ; ) {
      const { numUpdatedRows } = await query
        .updateTable('connections')
        .set({ ...values, asked_at: now, asks: 0, updated_at: now })
        .where('platform', '=', platform)
        .where(eb =>
          eb(
            eb.refTuple('event_id', 'organization_id'),
            'in',
            all(query, from)
              .select(['event_id', 'organization_id'])
              .where('connected_at', '<=', connectedBy)
              .limit(BATCH)
              .$asTuple('event_id', 'organization_id'),
          ),
        )
        .executeTakeFirst()
      changed += Number(numUpdatedRows)
      if (numUpdatedRows < BATCH) return changed
      await runtime.sleep(PAUSE_MS)
    }
  }

  /** All were suspended together, so they are tried in turn, and the pause grows with the tries of all of them. */
  async function nextSuspended(now: number): Promise<ConnectionRow | undefined> {
    const { asked, asks } = await all(query, 'suspended')
      .select(eb => [eb.fn.max('asked_at').as('asked'), eb.fn.sum<number>('asks').as('asks')])
      .executeTakeFirstOrThrow()
    if (asked === null || isTooSoon(Number(asked), Number(asks), now)) return undefined
    return all(query, 'suspended').selectAll().orderBy('asked_at').limit(1).executeTakeFirst()
  }

  /** An access token lives for an hour: where it expired 45 days ago, no call has renewed it since. */
  function nextUnused(now: number): Promise<ConnectionRow | undefined> {
    return transaction(query, async trx => {
      await lock(trx, `connections to keep ${platform}`)
      const last = await all(trx, 'connected')
        .select('asked_at')
        .where('asked_at', '<=', now)
        .orderBy('asked_at', 'desc')
        .limit(1)
        .executeTakeFirst()
      if (last && isWithin(last.asked_at, MINUTE_MS, now)) return undefined
      const oldest = await all(trx, 'connected')
        .selectAll()
        .where('access_expires_at', '<', now - UNUSED_MS)
        .where(eb => eb('asked_at', '<=', now - DAY_MS).or('asked_at', '>', now))
        .orderBy('asked_at')
        .limit(1)
        .executeTakeFirst()
      if (!oldest || !isOlderThan(oldest.access_expires_at, UNUSED_MS, now)) return undefined
      await updateGrant(trx, oldest).set({ asked_at: now }).execute()
      return oldest
    })
  }

  return {
    suspendAll: (occurredAt: number | undefined) =>
      change(
        'connected',
        { state: 'suspended', reason: 'integration_suspended' },
        occurredAt === undefined ? Number.MAX_SAFE_INTEGER : occurredAt + MARGIN_MS,
      ),
    lift: () => change('suspended', { state: 'connected', reason: null }, Number.MAX_SAFE_INTEGER),
    /** True for one of the callers that come at the same time. */
    async claimSuspended(row: GrantRow): Promise<boolean> {
      const now = runtime.now()
      const { asked_at = 0, asks = 0 } = row
      if (isTooSoon(asked_at, asks, now)) return false
      const { numUpdatedRows } = await updateGrant(query, row)
        .set({ asked_at: now, asks: asks + 1 })
        .where('version', '=', row.version)
        .where('asked_at', '=', asked_at)
        .where('asks', '=', asks)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    next: async () => (await nextSuspended(runtime.now())) ?? (await nextUnused(runtime.now())),
  }
}
