import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { isPostgres } from '../sql.ts'
import { blobOf, byteOrder } from './types.ts'

const STATES = sql`state in ('connected','reconsent','revoked','suspended','deleted')`
const DELIVERY_STATES = sql`state in ('pending','running','done','ignored','duplicate','parked','dead')`

export const start: Migration = {
  async up(db: Kysely<unknown>) {
    await consent(db)
    await sessions(db)
    await inbox(db)
    await participantsAndHealth(db)
  },
}

async function consent(db: Kysely<unknown>): Promise<void> {
  const blob = blobOf(db)
  await db.schema
    .createTable('flows')
    .addColumn('state_hash', 'text', c => c.primaryKey())
    .addColumn('cookie_hash', 'text', c => c.notNull())
    .addColumn('verifier', blob)
    .addColumn('event_id', 'text', c => c.notNull())
    .addColumn('created_at', 'bigint', c => c.notNull())
    .addColumn('expires_at', 'bigint', c => c.notNull())
    .addColumn('used_at', 'bigint')
    .execute()
  await db.schema.createIndex('flows_expires_at').on('flows').column('expires_at').execute()
  await db.schema
    .createTable('connections')
    .addColumn('event_id', 'text', c => c.notNull())
    .addColumn('organization_id', 'text', c => c.notNull())
    .addColumn('state', 'text', c => c.notNull().check(STATES))
    .addColumn('reason', 'text')
    .addColumn('scope', 'text', c => c.notNull())
    .addColumn('access_token', blob)
    .addColumn('refresh_token', blob)
    .addColumn('access_expires_at', 'bigint', c => c.notNull())
    .addColumn('refresh_expires_at', 'bigint', c => c.notNull())
    .addColumn('consent_expires_at', 'bigint', c => c.notNull())
    .addColumn('version', 'bigint', c => c.notNull())
    .addColumn('connected_at', 'bigint', c => c.notNull())
    .addColumn('updated_at', 'bigint', c => c.notNull())
    .addPrimaryKeyConstraint('connections_pk', ['event_id', 'organization_id'])
    .execute()
}

async function sessions(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('sessions')
    .addColumn('id_hash', 'text', c => c.primaryKey())
    .addColumn('created_at', 'bigint', c => c.notNull())
    .addColumn('expires_at', 'bigint', c => c.notNull())
    .execute()
  await db.schema.createIndex('sessions_expires_at').on('sessions').column('expires_at').execute()
  await db.schema
    .createTable('session_connections')
    .addColumn('session_hash', 'text', c => c.notNull().references('sessions.id_hash').onDelete('cascade'))
    .addColumn('event_id', 'text', c => c.notNull())
    .addColumn('organization_id', 'text', c => c.notNull())
    .addPrimaryKeyConstraint('session_connections_pk', ['session_hash', 'event_id', 'organization_id'])
    .execute()
}

/** No unique key on the inbox itself: a random index per row is dear on the way to the 200 (see inbox.ts). */
async function inbox(db: Kysely<unknown>): Promise<void> {
  const table = db.schema.createTable('inbox')
  const numbered = isPostgres(db)
    ? table.addColumn('id', 'bigint', c => c.primaryKey().generatedByDefaultAsIdentity())
    : table.addColumn('id', 'integer', c => c.primaryKey().autoIncrement())
  await numbered
    .addColumn('provider', 'text', c => c.notNull())
    .addColumn('delivery_id', 'text')
    .addColumn('envelope_id', 'text', c => c.notNull())
    .addColumn('type', 'text', c => c.notNull())
    .addColumn('event_id', 'text')
    .addColumn('organization_id', 'text')
    .addColumn('state', 'text', c => c.notNull().check(DELIVERY_STATES))
    .addColumn('attempts', 'integer', c => c.notNull())
    .addColumn('next_at', 'bigint', c => c.notNull())
    .addColumn('lease_owner', 'text')
    .addColumn('received_at', 'bigint', c => c.notNull())
    .addColumn('finished_at', 'bigint')
    .addColumn('last_error', 'text')
    .addColumn('duplicate_of', 'bigint')
    .addColumn('body', blobOf(db))
    .execute()
  await db.schema
    .createIndex('inbox_due')
    .on('inbox')
    .columns(['next_at', 'id'])
    .where(sql.ref('state'), 'in', sql`('pending','running')`)
    .execute()
  await db.schema.createIndex('inbox_event').on('inbox').columns(['event_id', 'id']).execute()
  await db.schema
    .createTable('delivery_keys')
    .addColumn('key', 'text', c => c.primaryKey())
    .addColumn('inbox_id', 'bigint', c => c.notNull())
    .addColumn('seen_at', 'bigint', c => c.notNull())
    .execute()
}

async function participantsAndHealth(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('participants')
    .addColumn('event_id', 'text', c => c.notNull())
    .addColumn('participant_id', 'text', c => c.notNull())
    .addColumn('name', 'text')
    .addColumn('application_status', 'text')
    .addColumn('last_type', 'text', c => c.notNull())
    .addColumn('occurred_at', byteOrder(db), c => c.notNull())
    .addColumn('updated_at', 'bigint', c => c.notNull())
    .addPrimaryKeyConstraint('participants_pk', ['event_id', 'participant_id'])
    .execute()
  await db.schema
    .createTable('health')
    .addColumn('id', 'integer', c => c.primaryKey())
    .addColumn('checked_at', 'bigint', c => c.notNull())
    .execute()
}
