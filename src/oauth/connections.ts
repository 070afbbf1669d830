import { sql } from 'kysely'
import { createSealedTokens, type OpenTokens } from '../keys/sealed-tokens.ts'
import type { Sealer } from '../keys/sealing.ts'
import { StorageError } from '../process/errors.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { CONSENT_S } from '../revento/platform.ts'
import type { TokenSet } from '../revento/token-outcome.ts'
import type { Queries } from '../storage/database.ts'
import { allowAgain } from '../storage/erasures.ts'
import type { ConnectionRow, ConnectionState, Platform } from '../storage/schema.ts'
import { alone, eventLock, transaction } from '../storage/sql.ts'
import { createAsking } from './asking.ts'
import { ENDED, SETTLED, tokenColumns } from './token-columns.ts'

/** A connection is one (event, organization). */
export interface ConnectionKey {
  readonly eventId: string
  readonly organizationId: string
}

/** What may be shown of a connection; the tokens are not in it. Times in milliseconds since 1970. */
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

/** For oauth/access-token only. `version` is the fence: a write that names an older one does nothing. */
export interface HeldToken {
  readonly accessToken: string
  readonly version: number
  /** When the connection ends (ms), as we computed it: Revento decides. */
  readonly endsAt: number
  /** Empty where the platform did not say. */
  readonly scopes: readonly string[]
  /** It is being tried whether the suspension still stands. */
  readonly suspended: boolean
  /** Revento has answered that it is expired, and no refresh has succeeded since. */
  readonly expired: boolean
}

export interface Connections {
  /** After a consent: replaces whatever was held for this event and organization. */
  save(tokens: TokenSet): Promise<Connection>
  find(key: ConnectionKey): Promise<Connection | undefined>
  /** Those that have not ended, in the order of their keys. */
  list(): Promise<Connection[]>
  /** The live ones that end before this moment (ms), in the order of their keys: the first so many behind `after`. */
  endingBefore(at: number, after: ConnectionKey | undefined): Promise<Connection[]>
  /**
   * Undefined unless the state is `connected`; or `suspended`, for one caller whenever it is time to try again
   * (`isTrying`: for that caller once more). Damaged tokens end the connection (`reconsent`, sealed_value_damaged);
   * tokens under the previous key are sealed again. Throws UnsealError when their key was not given to this process.
   */
  open(key: ConnectionKey, isTrying?: boolean): Promise<HeldToken | undefined>
  /** Ends the connection at this version; its tokens are erased. False: another writer was first. */
  end(key: ConnectionKey, state: 'reconsent' | 'revoked', reason: string, version: number): Promise<boolean>
  /** Somebody wants it to end, whoever writes at the same time: a refresh under way loses. Its tokens are erased. */
  disconnect(key: ConnectionKey): Promise<void>
  /** The platform has suspended the integration: every connection made by then (ms) is marked. */
  suspendAll(occurredAt: number | undefined): Promise<number>
  /** The suspension is over, for all that were marked; says how many. */
  lift(): Promise<number>
  /**
   * A connection to call with, for no other reason than that: a suspended one, when it is time to try again; else one
   * that no call used for 45 days, at most one a minute among all processes, and each once a day.
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
  const row = (key: ConnectionKey) =>
    select()
      .where('event_id', '=', key.eventId)
      .where('organization_id', '=', key.organizationId)
      .executeTakeFirst()

  /** A disk that is full must not keep anybody from a token that can be read. */
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
        await alone(trx, eventLock(tokens.eventId))
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
        .where('event_id', '=', key.eventId)
        .where('organization_id', '=', key.organizationId)
        .where('platform', '=', platform)
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
        .where('event_id', '=', key.eventId)
        .where('organization_id', '=', key.organizationId)
        .where('platform', '=', platform)
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
