import type { TokenSet } from '../revento/token-outcome.ts'
import type { Runtime } from '../runtime.ts'
import type { Queries } from '../storage/database.ts'
import { isPostgres } from '../storage/dialect.ts'
import type { ConnectionRow, Platform, RefreshFailure } from '../storage/schema.ts'
import { tokenPlace } from '../storage/sealed-places.ts'
import type { Sealer } from '../storage/sealing.ts'
import { transaction } from '../storage/transaction.ts'
import { latestEnd } from '../trusted-time.ts'
import type { ConnectionKey } from './connections.ts'
import { SETTLED, tokenColumns } from './token-columns.ts'

/**
 * The right to spend a connection's refresh token, held by one caller of one process at a time: a row in the
 * database. What is about to be sent is committed before it is sent (the phase), so that whoever comes after a crash
 * knows that a request is unaccounted for.
 *
 * - `idle`: every request with this refresh token has an outcome that is stored.
 * - `sent`: one was sent, or was about to be; its outcome is not known.
 * - `recovering`: the one recovery request was sent after that.
 */
export interface Lease {
  readonly key: ConnectionKey
  readonly owner: string
  readonly refreshToken: string
  /** The fence: whoever writes under this lease names the version that it read. */
  readonly version: number
  readonly recovery: boolean
  /** After this moment (ms) another caller may take over. */
  readonly until: number
  readonly consentExpiresAt: number
  readonly failures: number
  readonly failingSince: number
}

export type Taken =
  | { kind: 'taken'; lease: Lease }
  /** Somebody else refreshed, reconnected or ended the connection meanwhile: read it again. */
  | { kind: 'changed' }
  | { kind: 'held'; until: number }
  | { kind: 'postponed'; until: number; failure: RefreshFailure }
  /** A request and its one recovery are both unaccounted for, or the refresh token has reached its end. */
  | { kind: 'hopeless'; reason: 'refresh_interrupted' | 'consent_expired' }

export interface RefreshLeases {
  take(key: ConnectionKey, version: number): Promise<Taken>
  /** Stores the new pair. False: another writer was first, and nothing was written. */
  complete(lease: Lease, tokens: TokenSet): Promise<boolean>
  /** Gives the lease back; the request was surely not processed, so the phase is what it was before. */
  release(lease: Lease, retry: Retry): Promise<void>
  /** Gives the lease back with the request unaccounted for: the next one to take it recovers. */
  leaveUnknown(lease: Lease, failure: RefreshFailure, notBefore: number): Promise<void>
}

export interface Retry {
  readonly failure: RefreshFailure
  readonly notBefore: number
  readonly failures: number
  readonly failingSince: number
}

export const LEASE_MS = 15_000
const NO_LEASE = { lease_owner: null, lease_until: 0 }

export function createRefreshLeases(
  query: Queries,
  sealer: Sealer,
  runtime: Runtime,
  platform: Platform,
): RefreshLeases {
  /** Only while the lease is ours and nobody wrote since. */
  const fenced = ({ key, version, owner }: Lease) =>
    query
      .updateTable('connections')
      .where('event_id', '=', key.eventId)
      .where('organization_id', '=', key.organizationId)
      .where('platform', '=', platform)
      .where('version', '=', version)
      .where('lease_owner', '=', owner)

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
        if (!row || row.version !== version || row.state !== 'connected') return { kind: 'changed' }
        const refused = whyNot(row, now)
        if (refused) return refused
        const lease = leaseOf(row, sealer, runtime)
        await trx
          .updateTable('connections')
          .set({
            lease_owner: lease.owner,
            lease_until: lease.until,
            refresh_phase: lease.recovery ? 'recovering' : 'sent',
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
    async release(lease, { failure, notBefore, failures, failingSince }) {
      await fenced(lease)
        .set({
          ...NO_LEASE,
          refresh_phase: lease.recovery ? 'sent' : 'idle',
          refresh_not_before: notBefore,
          refresh_failure: failure,
          refresh_failures: failures,
          refresh_failing_since: failingSince,
        })
        .execute()
    },
    async leaveUnknown(lease, failure, notBefore) {
      await fenced(lease)
        .set({ ...NO_LEASE, refresh_not_before: notBefore, refresh_failure: failure })
        .execute()
    },
  }
}

function whyNot(row: ConnectionRow, now: number): Taken | undefined {
  if (row.lease_until > now && row.lease_until <= latestEnd(now, LEASE_MS))
    return { kind: 'held', until: row.lease_until }
  if (row.refresh_phase === 'recovering') return { kind: 'hopeless', reason: 'refresh_interrupted' }
  if (now >= row.refresh_expires_at) return { kind: 'hopeless', reason: 'consent_expired' }
  if (row.refresh_not_before > now)
    return {
      kind: 'postponed',
      until: row.refresh_not_before,
      failure: row.refresh_failure ?? 'upstream_error',
    }
  return undefined
}

function leaseOf(row: ConnectionRow, sealer: Sealer, runtime: Runtime): Lease {
  const key = { eventId: row.event_id, organizationId: row.organization_id }
  return {
    key,
    owner: runtime.uuid(),
    refreshToken: row.refresh_token ? sealer.open(row.refresh_token, tokenPlace(row, 'refresh_token')) : '',
    version: row.version,
    recovery: row.refresh_phase === 'sent',
    until: runtime.now() + LEASE_MS,
    consentExpiresAt: row.consent_expires_at,
    failures: row.refresh_failures,
    failingSince: row.refresh_failing_since,
  }
}
