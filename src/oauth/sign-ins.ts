import type { Sealer } from '../keys/sealing.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { REFRESH_TOKEN_S, type SignInKey, type UserToken } from '../revento/platform.ts'
import type { TokenSet } from '../revento/token-outcome.ts'
import type { AgedRows } from '../storage/aged-rows.ts'
import type { Queries } from '../storage/database.ts'
import type { Platform } from '../storage/schema.ts'
import { eventLock, lock, transaction } from '../storage/sql.ts'
import { createGrants, type Grants } from './grants.ts'
import { consentColumns } from './token-columns.ts'

/** Participants' consents. A consent works only under the organizer's connection of its event. */
export interface SignIns extends Grants<SignInKey, UserToken> {
  /** The organization that connected the event last; undefined where none has, so that nobody can sign in. */
  organizationOf(eventId: string): Promise<string | undefined>
  /** Stores the tokens in place of this participant's earlier ones. Undefined: the connection has ended meanwhile. */
  save(tokens: TokenSet): Promise<SignInKey | undefined>
  /** Forgets a participant who wants it: the tokens, and every session. */
  forget(key: SignInKey): Promise<void>
}

/** A row stays for 30 days after Revento has forgotten the consent, to say that it ended. */
export const SIGN_IN_ROWS: AgedRows = {
  table: 'sign_ins',
  key: 'id',
  ends: 'refresh_expires_at',
  keptMs: 30 * 24 * 3_600_000,
  longestMs: REFRESH_TOKEN_S * 1000,
}

/** The states of a connection whose sign-ins work; in `reconsent` Revento decides whether they still count. */
const COVERS = ['connected', 'reconsent', 'suspended'] as const

export function createSignIns(
  query: Queries,
  sealer: Sealer,
  runtime: Runtime,
  o: { log: Pick<Log, 'warn' | 'error'>; platform: Platform; requestedScopes?: string | undefined },
): SignIns {
  const { platform } = o
  const grants = createGrants<SignInKey, UserToken>(query, sealer, runtime, {
    ...o,
    mayTry: async () => false,
  })
  const covering = (trx: Queries, eventId: string) =>
    trx
      .selectFrom('connections')
      .select(['organization_id', 'connected_at'])
      .where('platform', '=', platform)
      .where('event_id', '=', eventId)
      .where('state', 'in', COVERS)

  const find: SignIns['find'] = async ({ signIn }) => {
    const row = await query
      .selectFrom('sign_ins')
      .leftJoin('connections as c', join =>
        join
          .onRef('c.platform', '=', 'sign_ins.platform')
          .onRef('c.event_id', '=', 'sign_ins.event_id')
          .onRef('c.organization_id', '=', 'sign_ins.organization_id'),
      )
      .select(['sign_ins.state', 'c.state as above'])
      .where('id', '=', signIn)
      .where('sign_ins.platform', '=', platform)
      .executeTakeFirst()
    if (row?.state !== 'connected') return row
    if (row.above === 'suspended') return { state: 'suspended' }
    return COVERS.some(state => state === row.above) ? row : { state: 'revoked' }
  }

  return {
    ...grants,
    find,
    open: async key => ((await find(key))?.state === 'connected' ? grants.open(key) : undefined),
    // The suspension of a sign-in is that of its connection.
    lift: async () => 0,
    async organizationOf(eventId) {
      const newest = covering(query, eventId).orderBy('connected_at', 'desc').limit(1)
      return (await newest.executeTakeFirst())?.organization_id
    },
    async save(tokens) {
      const now = runtime.now()
      const owner = { platform, event_id: tokens.eventId, organization_id: tokens.organizationId }
      return transaction(query, async trx => {
        await lock(trx, eventLock(tokens.eventId))
        const covered = covering(trx, tokens.eventId).where('organization_id', '=', tokens.organizationId)
        const above = await covered.executeTakeFirst()
        if (!above) return undefined
        const earlier =
          tokens.userId === undefined
            ? undefined
            : await trx
                .selectFrom('sign_ins')
                .select('id')
                .where('platform', '=', platform)
                .where('event_id', '=', tokens.eventId)
                .where('user_id', '=', tokens.userId)
                .executeTakeFirst()
        const id = earlier?.id ?? runtime.uuid()
        const values = {
          ...owner,
          ...consentColumns(sealer, tokens, now, o.requestedScopes, { id }),
          user_id: tokens.userId ?? null,
          under: above.connected_at,
        }
        await trx
          .insertInto('sign_ins')
          .values({ ...values, id, version: 1 })
          .onConflict(c =>
            c.column('id').doUpdateSet(eb => ({ ...values, version: eb('sign_ins.version', '+', 1) })),
          )
          .execute()
        return { eventId: tokens.eventId, signIn: id }
      })
    },
    async forget({ signIn }) {
      await query.deleteFrom('sign_ins').where('id', '=', signIn).where('platform', '=', platform).execute()
    },
  }
}
