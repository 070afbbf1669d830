import { StorageError } from '../process/errors.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { RefreshPending } from '../revento/api.ts'
import type { GrantKey } from '../revento/platform.ts'
import { ODD_RETRY_AFTER } from '../revento/rate-headers.ts'
import type { TokenEndpoint } from '../revento/token-endpoint.ts'
import type { TokenOutcome, TokenSet } from '../revento/token-outcome.ts'
import { connectUrl } from './connect.route.ts'
import { about } from './grants.ts'
import { LEASE_MS, type Lease, type RefreshLeases } from './refresh-lease.ts'
import { afterFailure, type Failed } from './refresh-pace.ts'

/** Resolves when the grant is newer than `version` or has ended. Throws RefreshPending where it has to wait. */
export type Refresh = (key: GrantKey, version: number) => Promise<void>

/** How long a caller waits for its own next try; it gets the error where that is further away. */
const PATIENCE_MS = 3_000
/** How long a caller waits for the refresh of another caller. */
const GIVE_UP_MS = 30_000
/** A request takes up to 10 s: with less than this left, the lease could end before the answer. */
const LEASE_NEEDED_MS = 12_000
const STORE_WITHIN_MS = 300_000

export function createRefresh(
  o: {
    leases: RefreshLeases
    tokenEndpoint: TokenEndpoint
    origin: string
    log: Log
    /** Fires when the process stops. No request begins after that; a request under way is waited for. */
    stopping?: AbortSignal
  },
  runtime: Runtime,
): Refresh {
  const { leases, log, stopping } = o
  const jitter = (ms: number) => ms * (1 + (runtime.bytes(1)[0] ?? 0) / 1024)

  let oddSaid = false

  return async (key, version) => {
    const startedAt = runtime.monotonic()
    for (;;) {
      if (stopping?.aborted) throw new RefreshPending('upstream_error', 0)
      const taken = await leases.take(key, version)
      switch (taken.kind) {
        case 'changed':
          return
        case 'taken':
          if (await spend(taken.lease)) return
          break
        default: {
          const isBusy = taken.kind === 'busy'
          const left = startedAt + (isBusy ? GIVE_UP_MS : PATIENCE_MS) - runtime.monotonic()
          const wait = isBusy ? jitter(40) : taken.ms
          if (wait > left) throw new RefreshPending(isBusy ? 'upstream_timeout' : taken.failure, wait)
          await runtime.sleep(wait, stopping).catch(() => {})
        }
      }
    }
  }

  /** Sends one request under the lease. True: it is settled. False: read the row again, which says when to go on. */
  async function spend(lease: Lease): Promise<boolean> {
    // The wall clock runs on while a machine sleeps; the monotonic clock runs on when the wall clock is set back.
    const left = Math.min(lease.until - runtime.now(), lease.takenAt + LEASE_MS - runtime.monotonic())
    if (left < LEASE_NEEDED_MS) {
      await leases.release(lease, { ...lease, failure: 'upstream_timeout', pauseMs: 0 })
      return false
    }
    const outcome = await o.tokenEndpoint.refresh(lease.refreshToken, lease.ids)
    const fields = { ...about(lease.key), outcome: outcome.kind, unaccounted: lease.unaccounted }
    switch (outcome.kind) {
      case 'tokens':
        return store(lease, outcome, fields)
      case 'rejected':
        return end(lease)
      default:
        return postpone(lease, outcome, { ...fields, detail: outcome.detail })
    }
  }

  /** Commits the new pair before any caller uses it: a crash must not take the only copy with it. */
  async function store(lease: Lease, { tokens }: TokenOutcome & { kind: 'tokens' }, fields: object) {
    if (!isAbout(lease.ids, tokens)) {
      log.error({ ...fields, outcome: 'other_event' }, 'refresh answered for another event: refused')
      return postpone(lease, OTHER_EVENT, { ...fields, detail: OTHER_EVENT.detail })
    }
    const stored = await untilStored(() => leases.complete(lease, tokens), fields)
    if (stored) log.info(fields, 'access token refreshed')
    else log.warn(fields, 'refresh came too late: another one stands')
    return true
  }

  /** Repeats a failed write, since this process has the only copy of the new pair; the fence makes a late write harmless. */
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

  async function postpone(lease: Lease, outcome: Failed, fields: object): Promise<boolean> {
    const retry = afterFailure(lease, outcome, runtime.now(), (runtime.bytes(1)[0] ?? 0) / 256)
    const line = { ...fields, failures: retry.failures, retry_in_ms: retry.pauseMs }
    const isOdd = outcome.kind !== 'configuration' && outcome.retryAfter?.isOdd === true
    if (isOdd && !oddSaid) log.error(fields, ODD_RETRY_AFTER)
    oddSaid ||= isOdd
    if (outcome.kind === 'configuration')
      log.error(line, 'Revento refuses this client: check its credentials')
    else if (outcome.kind === 'transient') log.warn(line, 'refresh failed for now')
    else log.warn(line, 'refresh was sent and has no usable answer: it is asked again')
    await leases.release(lease, retry)
    return false
  }

  /** Ends the connection after the exact `invalid_grant`; no other answer to a refresh does. */
  async function end(lease: Lease): Promise<boolean> {
    const isPast = runtime.now() >= lease.endsAt
    const reason = lease.unaccounted ? 'refresh_interrupted' : isPast ? 'consent_expired' : 'invalid_grant'
    const ended = await leases.end(lease, reason)
    const fields = { ...about(lease.key), reason }
    if (ended && 'signIn' in lease.key) log.info(fields, 'the participant has to sign in again')
    else if (ended)
      log.warn(
        { ...fields, connect_url: connectUrl(o.origin, lease.key.eventId) },
        'the organizer has to connect this event again: send the link',
      )
    return ended
  }
}

const OTHER_EVENT = { kind: 'unknown', detail: 'other_event', timeout: false, atWork: false } as const

/** A participant's answer may leave out who it is about, so only a name that differs is another's. */
const isAbout = (ids: Lease['ids'], { eventId, organizationId, userId }: TokenSet): boolean =>
  eventId === ids.eventId &&
  organizationId === ids.organizationId &&
  (userId === undefined || ids.userId === undefined || userId === ids.userId)
