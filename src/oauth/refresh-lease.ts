import { type Sealer, tokenPlace } from '../keys/sealing.ts'
import type { Runtime } from '../process/runtime.ts'
import { createUnchanged, type SteadyClock, waitLeft } from '../process/trusted-time.ts'
import { type GrantKey, grantName } from '../revento/platform.ts'
import type { TokenSet } from '../revento/token-outcome.ts'
import type { Queries } from '../storage/database.ts'
import { type GrantId, type GrantRow, grantId, selectGrant, updateGrant } from '../storage/grants.ts'
import type { Platform, RefreshFailure } from '../storage/schema.ts'
import { isPostgres, transaction } from '../storage/sql.ts'
import { AT_WORK_MS, DAY_MS, type Failures, type Retry } from './refresh-pace.ts'
import { ENDED, SETTLED, tokenColumns } from './token-columns.ts'

/**
 * The right of one caller in one process to spend a grant's refresh token: columns of its row. The phase is
 * committed before a request is sent, so that the next caller after a crash knows that a request is unaccounted for,
 * and when to ask again.
 *
 * - `idle`: the outcome of every request with this refresh token is stored.
 * - `sent`: one or more requests were sent, or about to be sent, whose outcome is not known.
 */
export interface Lease extends Failures {
  readonly key: GrantKey
  readonly row: GrantId
  /** The ids that the answer must not contradict; it may leave them out. */
  readonly ids: {
    readonly eventId: string
    readonly organizationId: string
    readonly userId?: string | undefined
  }
  readonly owner: string
  readonly refreshToken: string
  /** The fence: a write under this lease names the version that was read with it. */
  readonly version: number
  /** When the lease was taken, by the monotonic clock, and when it ends (ms since 1970) and another caller may take it. */
  readonly takenAt: number
  readonly until: number
  readonly consentExpiresAt: number
}

type Taken =
  | { kind: 'taken'; lease: Lease }
  /** The connection was refreshed, made anew or ended meanwhile: read it again. */
  | { kind: 'changed' }
  | { kind: 'busy' }
  | { kind: 'postponed'; ms: number; failure: RefreshFailure }

export interface RefreshLeases {
  take(key: GrantKey, version: number): Promise<Taken>
  /** Stores the new pair, even after the lease has passed on; false where a newer pair or an end stands. */
  complete(lease: Lease, tokens: TokenSet): Promise<boolean>
  /** Ends the connection that Revento rejected. False: another caller has the lease and gets an answer of its own. */
  end(lease: Lease, reason: string): Promise<boolean>
  /** Gives the lease back; it can be taken again after the pause. */
  release(lease: Lease, retry: Retry): Promise<void>
}

export const LEASE_MS = 15_000
/** The longest pause, jitter included. */
const LONGEST_PAUSE_MS = 2 * DAY_MS

/** Suspended connections are here because one is tried now and then, with a token that may have expired. */
const CALLABLE: ReadonlySet<GrantRow['state']> = new Set(['connected', 'suspended'])

export function createRefreshLeases(
  query: Queries,
  sealer: Sealer,
  runtime: Runtime,
  clock: Pick<SteadyClock, 'leaseLeft'>,
  platform: Platform,
): RefreshLeases {
  /** How long this process has seen a row unchanged, by its monotonic clock: wall clocks may be wrong, and differ. */
  const unchanged = createUnchanged(runtime)
  const unchangedMs = (key: GrantKey, ...mark: unknown[]) => unchanged(grantName(key), mark.join(' '))

  /** Updates the row unless it was written since the lease was taken. */
  const fenced = ({ row, version }: Lease) => updateGrant(query, row).where('version', '=', version)

  return {
    take: (key, version) =>
      transaction(query, async trx => {
        const row = await selectGrant(trx, grantId(platform, key))
          // Of two callers the second waits here, and then reads what the first has written.
          .$if(isPostgres(trx), select => select.forUpdate())
          .executeTakeFirst()
        const now = runtime.now()
        if (!row || row.version !== version || !CALLABLE.has(row.state)) return { kind: 'changed' }
        const stoodMs = unchangedMs(key, version, row.lease_owner, row.refresh_not_before)
        const refused = whyNot(row, now, (end, lengthMs) => clock.leaseLeft(end, lengthMs, stoodMs))
        if (refused) return refused
        const lease = leaseOf(key, row, grantId(platform, key), sealer, runtime)
        // Stands for the next caller if this process crashes; an outcome replaces it.
        const notBefore = lease.until + AT_WORK_MS
        unchangedMs(key, version, lease.owner, notBefore)
        await updateGrant(trx, lease.row)
          .set({
            lease_owner: lease.owner,
            lease_until: lease.until,
            refresh_phase: 'sent',
            refresh_not_before: notBefore,
            refresh_noted_at: now,
            refresh_failure: 'upstream_timeout',
          })
          .execute()
        return { kind: 'taken', lease }
      }),
    async complete(lease, tokens) {
      const { numUpdatedRows } = await fenced(lease)
        .set({
          ...tokenColumns(
            sealer,
            tokens,
            lease.consentExpiresAt,
            runtime.now(),
            lease.refreshToken,
            lease.row,
          ),
          ...(tokens.scope === undefined ? {} : { scope: tokens.scope }),
          ...SETTLED,
          version: lease.version + 1,
        })
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    async end(lease, reason) {
      const { numUpdatedRows } = await fenced(lease)
        .where(eb => eb.or([eb('lease_owner', '=', lease.owner), eb('lease_owner', 'is', null)]))
        .set({ ...ENDED, state: 'reconsent', reason, version: lease.version + 1, updated_at: runtime.now() })
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    async release(lease, { failure, unaccounted, failures, failingSince, pauseMs }) {
      const now = runtime.now()
      const notBefore = now + Math.ceil(pauseMs)
      unchangedMs(lease.key, lease.version, null, notBefore)
      await fenced(lease)
        .where('lease_owner', '=', lease.owner)
        .set({
          lease_owner: null,
          lease_until: 0,
          refresh_phase: unaccounted ? 'sent' : 'idle',
          refresh_not_before: notBefore,
          refresh_noted_at: now,
          refresh_failure: failure,
          refresh_failures: failures,
          refresh_failing_since: failingSince,
        })
        .execute()
    },
  }
}

/** `left` says how long a request that the row records may still be under way, whatever happened to the clocks. */
function whyNot(
  row: GrantRow,
  now: number,
  left: (end: number, lengthMs: number) => number,
): Taken | undefined {
  if (row.lease_owner !== null && left(row.lease_until, LEASE_MS) > 0) return { kind: 'busy' }
  const noted = { since: row.refresh_noted_at, until: row.refresh_not_before }
  const atWorkMs =
    row.refresh_phase === 'sent' ? Math.min(noted.until - noted.since, LEASE_MS + AT_WORK_MS) : 0
  const ms = Math.max(waitLeft(noted, now, LONGEST_PAUSE_MS), left(noted.until, atWorkMs))
  return ms > 0 ? { kind: 'postponed', ms, failure: row.refresh_failure ?? 'upstream_error' } : undefined
}

function leaseOf(key: GrantKey, row: GrantRow, id: GrantId, sealer: Sealer, runtime: Runtime): Lease {
  const { event_id: eventId, organization_id: organizationId, user_id: userId } = row
  return {
    key,
    row: id,
    ids: { eventId, organizationId, userId: userId ?? undefined },
    owner: runtime.uuid(),
    refreshToken: row.refresh_token ? sealer.open(row.refresh_token, tokenPlace(id, 'refresh_token')) : '',
    version: row.version,
    unaccounted: row.refresh_phase !== 'idle',
    takenAt: runtime.monotonic(),
    until: runtime.now() + LEASE_MS,
    endsAt: row.refresh_expires_at,
    consentExpiresAt: row.consent_expires_at,
    notBefore: row.refresh_not_before,
    failures: row.refresh_failures,
    failingSince: row.refresh_failing_since,
  }
}
