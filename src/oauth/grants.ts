import { createSealedTokens, type OpenTokens } from '../keys/sealed-tokens.ts'
import type { Sealer } from '../keys/sealing.ts'
import { StorageError } from '../process/errors.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import type { GrantKey, InstallationToken } from '../revento/platform.ts'
import type { Queries } from '../storage/database.ts'
import { type GrantRow, grantId, selectGrant, updateGrant } from '../storage/grants.ts'
import type { ConnectionState, Platform } from '../storage/schema.ts'
import { ENDED } from './token-columns.ts'

/** A token for oauth/access-token only. `version` is the fence: a write that names an older version does nothing. */
export interface LiveToken<Token = InstallationToken> {
  readonly accessToken: Token
  readonly version: number
  /** When the grant ends (ms) by our computation; Revento decides. */
  readonly endsAt: number
  /** Empty where Revento gave no scopes. */
  readonly scopes: readonly string[]
  /** The connection is suspended, and this use finds out whether it still is. */
  readonly suspended: boolean
  /** Revento answered that the token is expired, and no refresh has succeeded since. */
  readonly expired: boolean
}

/** What a call of the API needs of a grant, an organizer's or a participant's. */
export interface Grants<Key, Token> {
  find(key: Key): Promise<{ readonly state: ConnectionState } | undefined>
  /**
   * The token of a grant that is `connected`. A `suspended` one opens for one caller whenever it is time to try again, and
   * for that caller once more with `isTrying`. Damaged tokens end the grant (`reconsent`, sealed_value_damaged); tokens
   * under the previous key are sealed again. Throws UnsealError without their key.
   */
  open(key: Key, isTrying?: boolean): Promise<LiveToken<Token> | undefined>
  /** Ends the grant at this version and erases its tokens. False: another writer was first. */
  end(key: Key, state: 'reconsent' | 'revoked', reason: string, version: number): Promise<boolean>
  /** The suspension is over for all marked connections. Returns how many. */
  lift(): Promise<number>
}

/** The fields of a log line that say which grant it is about. */
export const about = (key: GrantKey) => ({
  part: 'oauth',
  event_id: key.eventId,
  ...('signIn' in key ? { sign_in: key.signIn } : { organization_id: key.organizationId }),
})

export const scopesOf = ({ scope }: Pick<GrantRow, 'scope'>) => scope.split(' ').filter(Boolean)

/** The part that connections and sign-ins share. `mayTry` says whether this caller may try a suspended one. */
export function createGrants<Key extends GrantKey, Token extends string>(
  query: Queries,
  sealer: Sealer,
  runtime: Runtime,
  o: {
    log: Pick<Log, 'warn' | 'error'>
    platform: Platform
    mayTry: (row: GrantRow) => Promise<boolean>
  },
): Pick<Grants<Key, Token>, 'open' | 'end'> {
  const sealed = createSealedTokens(query, sealer, runtime, o.log)

  /** A failure to write is only logged: the token can be read even where the disk is full. */
  async function rewrite(found: GrantRow, tokens: OpenTokens): Promise<void> {
    try {
      await sealed.rewrite(found, tokens)
    } catch (error) {
      if (!(error instanceof StorageError)) throw error
      o.log.warn(
        { part: 'oauth', event_id: found.event_id, err: error },
        'tokens stay under the previous key',
      )
    }
  }

  return {
    async open(key, isTrying = false) {
      for (;;) {
        const found = await selectGrant(query, grantId(o.platform, key)).executeTakeFirst()
        const suspended = found?.state === 'suspended'
        if (!found || !(suspended || found.state === 'connected')) return undefined
        if (suspended && !isTrying && !(await o.mayTry(found))) return undefined
        const tokens = await sealed.open(found)
        if (tokens === 'changed') continue
        if (!tokens) return undefined
        await rewrite(found, tokens)
        const { version, refresh_expires_at: endsAt } = found
        const expired = found.refresh_failure !== null
        const accessToken = tokens.accessToken as Token
        return { accessToken, version, endsAt, scopes: scopesOf(found), suspended, expired }
      }
    },
    async end(key, state, reason, version) {
      const { numUpdatedRows } = await updateGrant(query, grantId(o.platform, key))
        .set({ ...ENDED, state, reason, version: version + 1, updated_at: runtime.now() })
        .where('state', '=', 'connected')
        .where('version', '=', version)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
  }
}
