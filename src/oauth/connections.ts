import { sql } from 'kysely'
import type { Sealer } from '../keys/sealing.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import type { ConnectionKey, InstallationToken } from '../revento/platform.ts'
import type { TokenSet } from '../revento/token-outcome.ts'
import type { Queries } from '../storage/database.ts'
import { allowAgain } from '../storage/erasures.ts'
import { type GrantRow, grantId, selectGrant, updateGrant } from '../storage/grants.ts'
import type { ConnectionState, Platform } from '../storage/schema.ts'
import { eventLock, lock, transaction } from '../storage/sql.ts'
import { createAsking } from './asking.ts'
import { createGrants, type Grants, scopesOf } from './grants.ts'
import { consentColumns, ENDED } from './token-columns.ts'

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

export interface Connections extends Grants<ConnectionKey, InstallationToken> {
  /** Stores the tokens of a new consent in place of what was stored for this event and organization. */
  save(tokens: TokenSet): Promise<Connection>
  find(key: ConnectionKey): Promise<Connection | undefined>
  /** The connections that have not ended, in the order of their keys. */
  list(): Promise<Connection[]>
  /** A page of live connections that end before this moment (ms), in the order of their keys, beginning after `after`. */
  endingBefore(at: number, after: ConnectionKey | undefined): Promise<Connection[]>
  /** Ends the connection at the organizer's wish and erases its tokens; a refresh under way is not stored any more. */
  disconnect(key: ConnectionKey): Promise<void>
  /** Revento has suspended the integration: marks every connection made by then (ms). Returns how many. */
  suspendAll(occurredAt: number | undefined): Promise<number>
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
  const { platform } = o
  const asking = createAsking(query, platform, runtime)
  const select = () => query.selectFrom('connections').selectAll().where('platform', '=', platform)
  const row = (key: ConnectionKey) => selectGrant(query, grantId(platform, key)).executeTakeFirst()

  return {
    ...createGrants(query, sealer, runtime, { ...o, mayTry: asking.claimSuspended }),
    async save(tokens) {
      const consented = { platform, ...consentColumns(sealer, tokens, runtime.now(), o.requestedScopes) }
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
    async disconnect(key) {
      await updateGrant(query, grantId(platform, key))
        .set({ ...ENDED, state: 'revoked', reason: 'disconnected' })
        .set(eb => ({ version: eb('version', '+', 1), updated_at: runtime.now() }))
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

function connectionOf(row: GrantRow): Connection {
  return {
    platform: row.platform,
    eventId: row.event_id,
    organizationId: row.organization_id,
    state: row.state,
    reason: row.reason,
    scopes: scopesOf(row),
    accessExpiresAt: row.access_expires_at,
    refreshExpiresAt: row.refresh_expires_at,
    consentExpiresAt: row.consent_expires_at,
    connectedAt: row.connected_at,
  }
}
