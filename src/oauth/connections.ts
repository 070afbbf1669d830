import { sql } from 'kysely'
import { createSealedTokens, type OpenTokens } from '../keys/sealed-tokens.ts'
import type { Sealer } from '../keys/sealing.ts'
import { StorageError } from '../process/errors.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { CONSENT_S, type ConnectionKey } from '../revento/platform.ts'
import type { TokenSet } from '../revento/token-outcome.ts'
import type { Queries } from '../storage/database.ts'
import { allowAgain } from '../storage/erasures.ts'
import type { ConnectionRow, ConnectionState, Platform } from '../storage/schema.ts'
import { eventLock, lock, transaction } from '../storage/sql.ts'
import { createAsking } from './asking.ts'
import { ENDED, isConnection, SETTLED, tokenColumns } from './token-columns.ts'

export type { ConnectionKey } from '../revento/platform.ts'

/** A connection without its tokens, so that all of it may be shown. Times are ms since 1970. */
export interface Connection extends ConnectionKey {
  readonly platform: Platform
  readonly state: ConnectionState
  readonly reason: string | null
  readonly scopes: readonly string[]
  readonly accessExpiresAt: number
  readonly refreshExpiresAt: number
  readonly consentExpiresAt: number
  readonly connectedAt: number
}

/** A token for oauth/access-token only. `version` is the fence: a write that names an older version does nothing. */
export interface LiveToken {
  readonly accessToken: string
  readonly version: number
  /** When the connection ends (ms) by our computation; Revento decides. */
  readonly endsAt: number
  /** Empty where Revento gave no scopes. */
  readonly scopes: readonly string[]
  /** The connection is suspended, and this use finds out whether it still is. */
  readonly suspended: boolean
  /** Revento answered that the token is expired, and no refresh has succeeded since. */
  readonly expired: boolean
}

export interface Connections {
  /** Stores the tokens of a new consent in place of what was stored for this event and organization. */
  save(tokens: TokenSet): Promise<Connection>
  find(key: ConnectionKey): Promise<Connection | undefined>
  /** The connections that have not ended, in the order of their keys. */
  list(): Promise<Connection[]>
  /** A page of live connections that end before this moment (ms), in the order of their keys, beginning after `after`. */
  endingBefore(at: number, after: ConnectionKey | undefined): Promise<Connection[]>
  /**
   * The token of a connection that is `connected`. A `suspended` one opens for one caller whenever it is time to try
   * again, and for that caller once more with `isTrying`. Damaged tokens end the connection (`reconsent`,
   * sealed_value_damaged); tokens under the previous key are sealed again. Throws UnsealError without their key.
   */
  open(key: ConnectionKey, isTrying?: boolean): Promise<LiveToken | undefined>
  /** Ends the connection at this version and erases its tokens. False: another writer was first. */
  end(key: ConnectionKey, state: 'reconsent' | 'revoked', reason: string, version: number): Promise<boolean>
  /** Ends the connection at the organizer's wish and erases its tokens; a refresh under way is not stored any more. */
  disconnect(key: ConnectionKey): Promise<void>
  /** Revento has suspended the integration: marks every connection made by then (ms). Returns how many. */
  suspendAll(occurredAt: number | undefined): Promise<number>
  /** The suspension is over for all marked connections. Returns how many. */
  lift(): Promise<number>
  /**
   * The next connection for a keep-alive call: a suspended one when it is time to try again; else one that no call used
   * for 45 days, at most one a minute among all processes, and each connection once a day.
   */
  toAsk(): Promise<Connection | undefined>
}

const PAGE = 200

export function createConnections(
  query: Queries,
  sealer: Sealer,
  runtime: Runtime,
  o: { log: Pick<Log, 'warn' | 'error'>; platform: Platform; requestedScopes?: string },
): Connections {
  const { log, platform } = o
  const sealed = createSealedTokens(query, sealer, runtime, log)
  const asking = createAsking(query, platform, runtime)
  const select = () => query.selectFrom('connections').selectAll().where('platform', '=', platform)
  const isOfKey = isConnection(platform)
  const row = (key: ConnectionKey) => select().where(isOfKey(key)).executeTakeFirst()

  /** A failure to write is only logged: the token can be read even where the disk is full. */
  async function rewrite(found: ConnectionRow, tokens: OpenTokens): Promise<void> {
    try {
      await sealed.rewrite(found, tokens)
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      log.warn({ part: 'oauth', event_id: found.event_id, err: error }, 'tokens stay under the previous key')
    }
  }

  return {
    async save(tokens) {
      const now = runtime.now()
      const consented = {
        state: 'connected' as const,
        reason: null,
        platform,
        scope: tokens.scope ?? o.requestedScopes ?? '',
        ...tokenColumns(sealer, tokens, now + CONSENT_S * 1000, now),
        ...SETTLED,
        consent_expires_at: now + CONSENT_S * 1000,
        connected_at: now,
      }
      const key = { event_id: tokens.eventId, organization_id: tokens.organizationId }
      return transaction(query, async trx => {
        await lock(trx, eventLock(tokens.eventId))
        const values = { ...consented, after_delivery: await allowAgain(trx, { platform, ...key }) }
        const saved = await trx
          .insertInto('connections')
          .values({ ...key, version: 1, ...values })
          .onConflict(c =>
            c
              .columns(['event_id', 'organization_id', 'platform'])
              .doUpdateSet(eb => ({ ...values, version: eb('connections.version', '+', 1) })),
          )
          .returningAll()
          .executeTakeFirstOrThrow()
        return connectionOf(saved)
      })
    },
    async find(key) {
      const found = await row(key)
      return found && connectionOf(found)
    },
    async list() {
      const living = select().where('state', 'in', ['connected', 'reconsent', 'suspended'])
      return (await living.orderBy('event_id').orderBy('organization_id').execute()).map(connectionOf)
    },
    async endingBefore(at, after = { eventId: '', organizationId: '' }) {
      const live = select().where('state', '=', 'connected').where('refresh_expires_at', '<', at)
      const page = live
        .where(sql<boolean>`(event_id, organization_id) > (${after.eventId}, ${after.organizationId})`)
        .orderBy('event_id')
        .orderBy('organization_id')
        .limit(PAGE)
      return (await page.execute()).map(connectionOf)
    },
    async open(key, isTrying = false) {
      for (;;) {
        const found = await row(key)
        const suspended = found?.state === 'suspended'
        if (!found || !(suspended || found.state === 'connected')) return undefined
        if (suspended && !isTrying && !(await asking.claimSuspended(found))) return undefined
        const tokens = await sealed.open(found)
        if (tokens === 'changed') continue
        if (!tokens) return undefined
        await rewrite(found, tokens)
        const { version, refresh_expires_at: endsAt } = found
        const scopes = connectionOf(found).scopes
        const expired = found.refresh_failure !== null
        return { accessToken: tokens.accessToken, version, endsAt, scopes, suspended, expired }
      }
    },
    async end(key, state, reason, version) {
      const { numUpdatedRows } = await query
        .updateTable('connections')
        .set({ ...ENDED, state, reason, version: version + 1, updated_at: runtime.now() })
        .where(isOfKey(key))
        .where('state', '=', 'connected')
        .where('version', '=', version)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    async disconnect(key) {
      await query
        .updateTable('connections')
        .set({ ...ENDED, state: 'revoked', reason: 'disconnected' })
        .set(eb => ({ version: eb('version', '+', 1), updated_at: runtime.now() }))
        .where(isOfKey(key))
        .where('state', 'in', ['connected', 'suspended'])
        .execute()
    },
    suspendAll: asking.suspendAll,
    lift: asking.lift,
    async toAsk() {
      const found = await asking.next()
      return found && connectionOf(found)
    },
  }
}

function connectionOf(row: ConnectionRow): Connection {
  return {
    platform: row.platform,
    eventId: row.event_id,
    organizationId: row.organization_id,
    state: row.state,
    reason: row.reason,
    scopes: row.scope.split(' ').filter(Boolean),
    accessExpiresAt: row.access_expires_at,
    refreshExpiresAt: row.refresh_expires_at,
    consentExpiresAt: row.consent_expires_at,
    connectedAt: row.connected_at,
  }
}
