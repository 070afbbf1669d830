import { type Selectable, type SqlBool, sql } from 'kysely'
import type { GrantKey } from '../revento/platform.ts'
import type { Queries } from './database.ts'
import { isOf, type Owner } from './erasures.ts'
import type { ConnectionRow, GrantColumns, Platform, SignInsTable } from './schema.ts'

/** What names a row of `connections` or, with an id, of `sign_ins`. */
export type GrantId = Owner | SignInId
interface SignInId {
  readonly platform: Platform
  readonly id: string
}

/** A row of either table, with the columns that both have. */
export type GrantRow = Selectable<GrantColumns> &
  Partial<Pick<ConnectionRow, 'asked_at' | 'asks'>> &
  Partial<Pick<Selectable<SignInsTable>, 'id' | 'user_id'>>

export const GRANT_TABLES = ['connections', 'sign_ins'] as const

export const grantId = (platform: Platform, key: GrantKey): GrantId =>
  'signIn' in key
    ? { platform, id: key.signIn }
    : { platform, event_id: key.eventId, organization_id: key.organizationId }

const isSignIn = (row: GrantId): row is SignInId => 'id' in row

/** The types take one table for both, which holds for the columns of GrantColumns. */
const tableOf = (row: GrantId) => (isSignIn(row) ? 'sign_ins' : 'connections') as 'connections'

const isGrant = (row: GrantId) =>
  isSignIn(row) ? sql<SqlBool>`(platform = ${row.platform} and id = ${row.id})` : isOf(row)

export const selectGrant = (trx: Queries, row: GrantId) =>
  trx.selectFrom(tableOf(row)).selectAll().where(isGrant(row)).$castTo<GrantRow>()

export const updateGrant = (trx: Queries, row: GrantId) => trx.updateTable(tableOf(row)).where(isGrant(row))
