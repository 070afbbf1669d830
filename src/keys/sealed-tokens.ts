import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import type { Queries } from '../storage/database.ts'
import { type GrantRow, updateGrant } from '../storage/grants.ts'
import { keyIdOf, type Sealer, tokenPlace, UnsealError } from './sealing.ts'

/** The two sealed columns of a connection or a sign-in. Every write is fenced: it changes only values that it has read. */
export interface SealedTokens {
  seal(row: Pick<GrantRow, 'event_id' | 'organization_id' | 'id'>, tokens: OpenTokens): SealedColumns
  /**
   * Undefined: the row has no tokens, or they were damaged and are erased now (a live connection then waits for a new
   * consent). `changed`: another writer was first, so read the row again. Throws UnsealError where the tokens are under
   * a key of this database that this process was not given: those tokens are good, and stay.
   */
  open(row: GrantRow): Promise<OpenTokens | 'changed' | undefined>
  /** Seals opened tokens again where they stand under an older key. False: another writer was first. */
  rewrite(row: GrantRow, tokens: OpenTokens): Promise<boolean>
}

export interface OpenTokens {
  readonly accessToken: string
  readonly refreshToken: string
}

type SealedColumns = Record<'access_token' | 'refresh_token', Buffer>

export function createSealedTokens(
  query: Queries,
  sealer: Sealer,
  runtime: Pick<Runtime, 'now'>,
  log: Pick<Log, 'warn' | 'error'>,
): SealedTokens {
  const seal: SealedTokens['seal'] = (row, tokens) => ({
    access_token: sealer.seal(tokens.accessToken, tokenPlace(row, 'access_token')),
    refresh_token: sealer.seal(tokens.refreshToken, tokenPlace(row, 'refresh_token')),
  })
  const update = (row: GrantRow) =>
    updateGrant(query, row)
      .where('version', '=', row.version)
      .where('access_token', '=', row.access_token)
      .where('refresh_token', '=', row.refresh_token)

  async function isDamage(row: GrantRow, error: UnsealError): Promise<boolean> {
    if (error.code === 'damaged') return true
    const foreign = keyIdsOf(row).filter(id => !sealer.keys.includes(id))
    if (foreign.length === 0) return true
    const keys = query.selectFrom('sealing_keys').select('key_id').where('key_id', 'in', foreign)
    return (await keys.execute()).length === 0
  }

  async function disable(row: GrantRow, error: UnsealError): Promise<boolean> {
    // A live connection changes its state; a suspended one stays suspended.
    const state = row.state === 'connected' ? ENDED : {}
    const { numUpdatedRows } = await update(row)
      .set({ access_token: null, refresh_token: null, version: row.version + 1, updated_at: runtime.now() })
      .set(state)
      .executeTakeFirst()
    if (numUpdatedRows !== 1n) return false
    const fields = { part: 'oauth', event_id: row.event_id, detail: error.code }
    const what =
      row.id === undefined ? 'the organizer has to connect this event' : 'a participant has to sign in'
    log.error(fields, `stored tokens are damaged: ${what} again`)
    return true
  }

  return {
    seal,
    async open(row) {
      if (!row.access_token || !row.refresh_token) return undefined
      try {
        return {
          accessToken: sealer.open(row.access_token, tokenPlace(row, 'access_token')),
          refreshToken: sealer.open(row.refresh_token, tokenPlace(row, 'refresh_token')),
        }
      } catch (error) {
        if (!(error instanceof UnsealError && (await isDamage(row, error)))) throw error
        return (await disable(row, error)) ? undefined : 'changed'
      }
    },
    // The version stays: the tokens are the same, and a refresh under way with them must still be stored.
    async rewrite(row, tokens) {
      if (keyIdsOf(row).every(id => id === sealer.sealsWith())) return true
      const { numUpdatedRows } = await update(row).set(seal(row, tokens)).executeTakeFirst()
      return numUpdatedRows === 1n
    },
  }
}

const ENDED = { state: 'reconsent', reason: 'sealed_value_damaged' } as const

const keyIdsOf = (row: GrantRow) =>
  [row.access_token, row.refresh_token].flatMap(value => (value ? [keyIdOf(value)] : []))
