import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { blobOf } from './types.ts'

/** Participants who sign in: their consents, which have every column that a refresh of a connection uses, and sessions. */
export const signIns: Migration = {
  async up(db: Kysely<unknown>) {
    const flows = db.schema.alterTable('flows')
    await flows.addColumn('kind', 'text', c => c.notNull().defaultTo('installation')).execute()
    await db.schema
      .createTable('sign_ins')
      .addColumn('id', 'text', c => c.primaryKey())
      .addColumn('platform', 'text', c => c.notNull())
      .addColumn('event_id', 'text', c => c.notNull())
      .addColumn('organization_id', 'text', c => c.notNull())
      .addColumn('user_id', 'text')
      .addColumn('state', 'text', c => c.notNull().check(sql`state in ('connected','reconsent','revoked')`))
      .addColumn('reason', 'text')
      .addColumn('scope', 'text', c => c.notNull())
      .addColumn('access_token', blobOf(db))
      .addColumn('refresh_token', blobOf(db))
      .addColumn('access_expires_at', 'bigint', c => c.notNull())
      .addColumn('refresh_expires_at', 'bigint', c => c.notNull())
      .addColumn('consent_expires_at', 'bigint', c => c.notNull())
      .addColumn('version', 'bigint', c => c.notNull())
      .addColumn('connected_at', 'bigint', c => c.notNull())
      .addColumn('under', 'bigint', c => c.notNull())
      .addColumn('updated_at', 'bigint', c => c.notNull())
      .addColumn('lease_owner', 'text')
      .addColumn('lease_until', 'bigint', c => c.notNull().defaultTo(0))
      .addColumn('refresh_phase', 'text', c => c.notNull().defaultTo('idle'))
      .addColumn('refresh_not_before', 'bigint', c => c.notNull().defaultTo(0))
      .addColumn('refresh_noted_at', 'bigint', c => c.notNull().defaultTo(0))
      .addColumn('refresh_failure', 'text')
      .addColumn('refresh_failures', 'bigint', c => c.notNull().defaultTo(0))
      .addColumn('refresh_failing_since', 'bigint', c => c.notNull().defaultTo(0))
      .addColumn('budget', 'text')
      .execute()
    // A participant whose id Revento did not give is a new one each time: nulls are never equal.
    await db.schema
      .createIndex('sign_ins_user')
      .unique()
      .on('sign_ins')
      .columns(['event_id', 'user_id', 'platform'])
      .execute()
    await index(db, 'sign_ins', 'refresh_expires_at')
    await db.schema
      .createTable('sign_in_sessions')
      .addColumn('id_hash', 'text', c => c.primaryKey())
      .addColumn('sign_in', 'text', c => c.notNull().references('sign_ins.id').onDelete('cascade'))
      .addColumn('created_at', 'bigint', c => c.notNull())
      .addColumn('expires_at', 'bigint', c => c.notNull())
      .execute()
    await index(db, 'sign_in_sessions', 'sign_in')
    await index(db, 'sign_in_sessions', 'expires_at')
  },
}

const index = (db: Kysely<unknown>, table: string, column: string) =>
  db.schema.createIndex(`${table}_${column}`).on(table).column(column).execute()
