import type { Log } from '../log.ts'
import { ApiError } from '../revento/api.ts'
import type { TokenEndpoint } from '../revento/token-endpoint.ts'
import type { TokenOutcome } from '../revento/token-outcome.ts'
import type { Runtime } from '../runtime.ts'
import type { RefreshFailure } from '../storage/schema.ts'
import { StorageError } from '../storage/storage-error.ts'
import type { ConnectionKey, Connections } from './connections.ts'
import { connectUrl } from './ending-soon.ts'
import type { Lease, RefreshLeases } from './refresh-lease.ts'

/** Resolves when the connection is newer than `version` or has ended; throws an ApiError when it is to wait. */
export type Refresh = (key: ConnectionKey, version: number) => Promise<void>

/** How long a caller waits here for a retry or for somebody else's refresh; longer, and it gets the error. */
const PATIENCE_MS = 3_000
const GIVE_UP_MS = 30_000
/** A request is bounded to 10 s: with less than this left, the lease could end before the answer. */
const LEASE_NEEDED_MS = 12_000
/** Nothing came back: the platform may still be at work. */
const RECOVER_AFTER_MS = 2_000
const MISCONFIGURED_MS = 60_000
const STORE_WITHIN_MS = 300_000
const MAX_FAILURES = 5
const FAILURES_WINDOW_MS = 300_000

export function createRefresh(
  o: {
    leases: RefreshLeases
    connections: Connections
    tokenEndpoint: TokenEndpoint
    origin: string
    log: Log
  },
  runtime: Runtime,
): Refresh {
  const { leases, connections, log } = o
  const jitter = (ms: number) => ms * (1 + (runtime.bytes(1)[0] ?? 0) / 1024)

  return async (key, version) => {
    const startedAt = runtime.now()
    for (;;) {
      const taken = await leases.take(key, version)
      switch (taken.kind) {
        case 'changed':
          return
        case 'hopeless':
          return giveUp(key, version, taken.reason)
        case 'taken':
          if (await spend(taken.lease)) return
          break
        default: {
          const left = startedAt + (taken.kind === 'held' ? GIVE_UP_MS : PATIENCE_MS) - runtime.now()
          const wait = taken.kind === 'held' ? jitter(40) : taken.until - runtime.now()
          if (wait > left)
            throw new ApiError(taken.kind === 'held' ? 'upstream_timeout' : taken.failure, 0, '', wait)
          await runtime.sleep(wait)
        }
      }
    }
  }

  /** One request under the lease. True: it is settled; false: look again, the row says when. */
  async function spend(lease: Lease): Promise<boolean> {
    if (lease.until - runtime.now() < LEASE_NEEDED_MS) {
      const { failures, failingSince } = lease
      await leases.release(lease, { failure: 'upstream_timeout', notBefore: 0, failures, failingSince })
      return false
    }
    const outcome = await o.tokenEndpoint.refresh(lease.refreshToken)
    const fields = { ...about(lease.key), outcome: outcome.kind, recovery: lease.recovery }
    switch (outcome.kind) {
      case 'tokens':
        return store(lease, outcome, fields)
      case 'rejected':
        await giveUp(lease.key, lease.version, lease.recovery ? 'refresh_interrupted' : 'invalid_grant')
        return true
      case 'configuration':
        log.error({ ...fields, detail: outcome.detail }, 'Revento refuses this client: check its credentials')
        await postpone(lease, 'configuration_error', MISCONFIGURED_MS)
        return false
      case 'transient':
        log.warn({ ...fields, detail: outcome.detail }, 'refresh failed for now')
        await postpone(lease, failureOf(outcome), outcome.retryAfterMs)
        return false
      case 'unknown':
        log.warn({ ...fields, detail: outcome.detail }, 'refresh was sent and has no usable answer')
        return unknown(lease, failureOf(outcome))
    }
  }

  /** Committed before anybody uses it: a crash in between must not leave the only copy in memory. */
  async function store(lease: Lease, { tokens }: TokenOutcome & { kind: 'tokens' }, fields: object) {
    if (tokens.eventId !== lease.key.eventId || tokens.organizationId !== lease.key.organizationId) {
      log.error({ ...fields, outcome: 'other_event' }, 'refresh answered for another event: refused')
      return unknown(lease, 'upstream_error')
    }
    const stored = await untilStored(() => leases.complete(lease, tokens), fields)
    if (stored) log.info(fields, 'access token refreshed')
    else log.warn(fields, 'refresh came too late: another one stands')
    return true
  }

  /**
   * The only copy of the new pair is here: a store that fails is asked again, past the end of the lease too, since the
   * fence keeps a late write from harm.
   */
  async function untilStored(write: () => Promise<boolean>, fields: object): Promise<boolean> {
    for (const giveUpAt = runtime.monotonic() + STORE_WITHIN_MS; ; ) {
      try {
        return await write()
      } catch (error) {
        log.error({ ...fields, err: error }, 'cannot store the refreshed tokens; trying again')
        if (!(error instanceof StorageError) || runtime.monotonic() > giveUpAt) throw error
      }
      await runtime.sleep(jitter(250))
    }
  }

  async function unknown(lease: Lease, failure: RefreshFailure): Promise<boolean> {
    if (lease.recovery) {
      await giveUp(lease.key, lease.version, 'refresh_interrupted')
      return true
    }
    await leases.leaveUnknown(lease, failure, runtime.now() + Math.ceil(jitter(RECOVER_AFTER_MS)))
    return false
  }

  /** At most five failures in five minutes; what the platform asked for is obeyed, however long. */
  async function postpone(lease: Lease, failure: RefreshFailure, askedMs = 0): Promise<void> {
    const now = runtime.now()
    const same = lease.failures > 0 && now - lease.failingSince < FAILURES_WINDOW_MS
    const failures = same ? lease.failures + 1 : 1
    const failingSince = same ? lease.failingSince : now
    const pause =
      failures >= MAX_FAILURES ? failingSince + FAILURES_WINDOW_MS - now : jitter(250 * 2 ** failures)
    await leases.release(lease, {
      failure,
      // Beyond the end of the consent there is nothing to wait for.
      notBefore: Math.min(now + Math.ceil(Math.max(pause, askedMs)), lease.consentExpiresAt),
      failures,
      failingSince,
    })
  }

  async function giveUp(key: ConnectionKey, version: number, reason: string): Promise<void> {
    if (await connections.end(key, 'reconsent', reason, version))
      log.warn(
        { ...about(key), reason, connect_url: connectUrl(o.origin, key.eventId) },
        'the organizer has to connect this event again: send the link',
      )
  }
}

const failureOf = ({ timeout }: { timeout: boolean }): RefreshFailure =>
  timeout ? 'upstream_timeout' : 'upstream_error'

const about = ({ eventId, organizationId }: ConnectionKey) => ({
  part: 'oauth',
  event_id: eventId,
  organization_id: organizationId,
})
