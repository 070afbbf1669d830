import { type Sealer, tokenPlace } from '../keys/sealing.ts'
import type { Runtime } from '../process/runtime.ts'
import { createUnchanged, type SteadyClock, waitLeft } from '../process/trusted-time.ts'
import type { TokenSet } from '../revento/token-outcome.ts'
import type { Queries } from '../storage/database.ts'
import type { ConnectionRow, Platform, RefreshFailure } from '../storage/schema.ts'
import { isPostgres, transaction } from '../storage/sql.ts'
import type { ConnectionKey } from './connections.ts'
import { AT_WORK_MS, DAY_MS, type Failures, type Retry } from './refresh-pace.ts'
import { ENDED, SETTLED, tokenColumns } from './token-columns.ts'

/**
 * The right to spend a connection's refresh token, held by one caller of one process at a time: a row in the
 * database. What is about to be sent is committed before it is sent (the phase), so that whoever comes after a crash
 * knows that a request is unaccounted for, and when to ask again.
 *
 * - `idle`: every request with this refresh token has an outcome that is stored.
 * - `sent`: one or more were sent, or were about to be, whose outcome is not known.
 */
export interface Lease extends Failures {
  readonly key: ConnectionKey
  readonly owner: string
  readonly refreshToken: string
  /** The fence: whoever writes under this lease names the version that it read. */
  readonly version: number
  /** When it was taken, by the monotonic clock, and when it ends (ms since 1970): then another caller may take over. */
  readonly takenAt: number
  readonly until: number
  readonly consentExpiresAt: number
}

export type Taken =
  | { kind: 'taken'; lease: Lease }
  /** Somebody else refreshed, reconnected or ended the connection meanwhile: read it again. */
  | { kind: 'changed' }
  | { kind: 'held' }
  | { kind: 'postponed'; ms: number; failure: RefreshFailure }

export interface RefreshLeases {
  take(key: ConnectionKey, version: number): Promise<Taken>
  /**
   * Stores the new pair, also after the lease has passed to somebody else: whoever has it may come too late with the
   * spent token. False: a newer pair or an end stands, and nothing was written.
   */
  complete(lease: Lease, tokens: TokenSet): Promise<boolean>
  /** Revento's rejection ends the connection. False: somebody else has the lease, and hears an answer of its own. */
  end(lease: Lease, reason: string): Promise<boolean>
  /** Gives the lease back, to be taken again after the pause. */
  release(lease: Lease, retry: Retry): Promise<void>
}

export const LEASE_MS = 15_000
/** The longest pause, with jitter. */
const LONGEST_PAUSE_MS = 2 * DAY_MS

/** A suspended connection is tried now and then, perhaps long after its access token expired. */
const CALLABLE: ReadonlySet<ConnectionRow['state']> = new Set(['connected', 'suspended'])

export function createRefreshLeases(
  query: Queries,
  sealer: Sealer,
  runtime: Runtime,
  clock: Pick<SteadyClock, 'leaseLeft'>,
  platform: Platform,
): RefreshLeases {
  /** What this process wrote or read of a connection last: the clocks of all may be wrong, and differ. */
  const unchanged = createUnchanged(runtime)
  const unchangedMs = ({ eventId, organizationId }: ConnectionKey, ...mark: unknown[]) =>
    unchanged(`${eventId} ${organizationId}`, mark.join(' '))

  /** Only while nobody wrote since. */
  const fenced = ({ key, version }: Lease) =>
    query
      .updateTable('connections')
      .where('event_id', '=', key.eventId)
      .where('organization_id', '=', key.organizationId)
      .where('platform', '=', platform)
      .where('version', '=', version)

  return {
    take: (key, version) =>
      transaction(query, async trx => {
        const row = await trx
          .selectFrom('connections')
          .selectAll()
          .where('event_id', '=', key.eventId)
          .where('organization_id', '=', key.organizationId)
          .where('platform', '=', platform)
          // Of two takers the second waits here, and then reads what the first has written.
          .$if(isPostgres(trx), select => select.forUpdate())
          .executeTakeFirst()
        const now = runtime.now()
        if (!row || row.version !== version || !CALLABLE.has(row.state)) return { kind: 'changed' }
        const stoodMs = unchangedMs(key, version, row.lease_owner, row.refresh_not_before)
        const refused = whyNot(row, now, (end, lengthMs) => clock.leaseLeft(end, lengthMs, stoodMs))
        if (refused) return refused
        const lease = leaseOf(row, sealer, runtime)
        // For whoever comes after a crash; an outcome replaces it.
        const notBefore = lease.until + AT_WORK_MS
        unchangedMs(key, version, lease.owner, notBefore)
        await trx
          .updateTable('connections')
          .set({
            lease_owner: lease.owner,
            lease_until: lease.until,
            refresh_phase: 'sent',
            refresh_not_before: notBefore,
            refresh_noted_at: now,
            refresh_failure: 'upstream_timeout',
          })
          .where('event_id', '=', key.eventId)
          .where('organization_id', '=', key.organizationId)
          .where('platform', '=', platform)
          .execute()
        return { kind: 'taken', lease }
      }),
    async complete(lease, tokens) {
      const { numUpdatedRows } = await fenced(lease)
        .set({
          ...tokenColumns(sealer, tokens, lease.consentExpiresAt, runtime.now(), lease.refreshToken),
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

/** `left` says how long a request that this row tells of may still be under way, whatever happened to the clocks. */
function whyNot(
  row: ConnectionRow,
  now: number,
  left: (end: number, lengthMs: number) => number,
): Taken | undefined {
  if (row.lease_owner !== null && left(row.lease_until, LEASE_MS) > 0) return { kind: 'held' }
  const noted = { since: row.refresh_noted_at, until: row.refresh_not_before }
  const atWorkMs =
    row.refresh_phase === 'sent' ? Math.min(noted.until - noted.since, LEASE_MS + AT_WORK_MS) : 0
  const ms = Math.max(waitLeft(noted, now, LONGEST_PAUSE_MS), left(noted.until, atWorkMs))
  return ms > 0 ? { kind: 'postponed', ms, failure: row.refresh_failure ?? 'upstream_error' } : undefined
}

function leaseOf(row: ConnectionRow, sealer: Sealer, runtime: Runtime): Lease {
  const key = { eventId: row.event_id, organizationId: row.organization_id }
  return {
    key,
    owner: runtime.uuid(),
    refreshToken: row.refresh_token ? sealer.open(row.refresh_token, tokenPlace(row, 'refresh_token')) : '',
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
