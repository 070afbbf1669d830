import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { blobOf, withoutRowid } from './types.ts'

/* The small steps of the first version, each in its turn; the three large ones between them have files of their own. */

/** SQLite adds one column a statement. */
export const refreshLease: Migration = {
  async up(db: Kysely<unknown>) {
    const connections = db.schema.alterTable('connections')
    await connections.addColumn('lease_owner', 'text').execute()
    await connections.addColumn('lease_until', 'bigint', c => c.notNull().defaultTo(0)).execute()
    await connections
      .addColumn('refresh_phase', 'text', c =>
        c.notNull().defaultTo('idle').check(sql`refresh_phase in ('idle','sent','recovering')`),
      )
      .execute()
    await connections.addColumn('refresh_not_before', 'bigint', c => c.notNull().defaultTo(0)).execute()
    await connections.addColumn('refresh_failure', 'text').execute()
    await connections.addColumn('refresh_failures', 'integer', c => c.notNull().defaultTo(0)).execute()
    await connections.addColumn('refresh_failing_since', 'bigint', c => c.notNull().defaultTo(0)).execute()
  },
}

export const sealingKeys: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('sealing_keys')
      .addColumn('key_id', 'text', c => c.primaryKey())
      .addColumn('generation', 'bigint', c => c.notNull())
      .addColumn('check_value', blobOf(db))
      .execute()
  },
}

/** The proof that an event was erased, and what keeps its late webhooks from bringing it back. */
export const erasedEvents: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('erased_events')
      .addColumn('event_id', 'text', c => c.primaryKey())
      .addColumn('erased_at', 'bigint', c => c.notNull())
      .execute()
  },
}

/** Tokens of the sandbox are never sent to the real platform, nor the other way round, on one database too. */
export const platform: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .alterTable('connections')
      .addColumn('platform', 'text', c => c.notNull().defaultTo('real'))
      .execute()
  },
}

/** Two callbacks of one browser at once: the second adds to the session that the first one made. */
export const sessionSuccessor: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema.alterTable('sessions').addColumn('successor', 'text').execute()
  },
}

/** What the senders other than Revento need: answers that were given, and addresses that may post. */
export const senders: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('inline_answers')
      .addColumn('key', 'text', c => c.primaryKey())
      .addColumn('status', 'integer')
      .addColumn('body', 'text')
      .addColumn('inbox_id', 'bigint')
      .addColumn('event_id', 'text')
      .addColumn('lease_owner', 'text')
      .addColumn('lease_until', 'bigint', c => c.notNull())
      .addColumn('updated_at', 'bigint', c => c.notNull())
      .execute()
    const index = db.schema.createIndex('inline_answers_updated_at').on('inline_answers')
    await index.column('updated_at').execute()
    await db.schema
      .createTable('handshake_callers')
      .addColumn('address', 'text', c => c.primaryKey())
      .addColumn('registered_at', 'bigint', c => c.notNull())
      .execute()
  },
}

/** What waits for a person is found without reading a million that do not; nothing else is in this index. */
export const stuckDeliveries: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createIndex('inbox_stuck')
      .on('inbox')
      .columns(['event_id', 'state', 'id'])
      // Two comparisons: SQLite does not see that one of them implies an IN.
      .where(sql<boolean>`state = 'parked' or state = 'dead'`)
      .execute()
  },
}

/** When each secret and key was last used: for whoever changes one, and wants to know when the old one can go. */
export const keyUses: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('key_uses')
      .addColumn('variable', 'text', c => c.notNull())
      .addColumn('fingerprint', 'text', c => c.notNull())
      .addColumn('since', 'bigint', c => c.notNull())
      .addColumn('last_used_at', 'bigint', c => c.notNull())
      .addPrimaryKeyConstraint('key_uses_pk', ['variable', 'fingerprint'])
      .modifyEnd(withoutRowid(db))
      .execute()
  },
}

/** To find the sessions of one connection: how many there may be is bounded (status/session.ts). */
export const sessionsByConnection: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createIndex('session_connections_by_connection')
      .on('session_connections')
      .columns(['event_id', 'organization_id'])
      .execute()
  },
}

/**
 * When a wait was noted: under a clock that was ahead it does not count, nor does one of an earlier version, which could
 * be a year. `recovering` said that a second request was unaccounted for, which ended the connection; now it is asked
 * again, however many there were.
 */
export const refreshWaits: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .alterTable('connections')
      .addColumn('refresh_noted_at', 'bigint', c => c.notNull().defaultTo(0))
      .execute()
    await sql`update connections set refresh_not_before = 0`.execute(db)
    await sql`update connections set refresh_phase = 'sent' where refresh_phase = 'recovering'`.execute(db)
  },
}

/**
 * Revento's limits are a connection's, so what it has used is counted here, for all processes; and so is when the app
 * last called it for no other reason than to keep it alive, or to see whether its suspension was lifted.
 */
export const apiBudgets: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('api_budgets')
      .addColumn('platform', 'text', c => c.notNull())
      .addColumn('event_id', 'text', c => c.notNull())
      .addColumn('organization_id', 'text', c => c.notNull())
      .addColumn('budget', 'text', c => c.notNull())
      .addPrimaryKeyConstraint('api_budgets_pk', ['platform', 'event_id', 'organization_id'])
      .execute()
    const connections = db.schema.alterTable('connections')
    await connections.addColumn('asked_at', 'bigint', c => c.notNull().defaultTo(0)).execute()
    await connections.addColumn('asks', 'integer', c => c.notNull().defaultTo(0)).execute()
  },
}

/** What is parked for one connection is found a batch at a time, however much is parked; nothing else is in this index. */
export const parkedByConnection: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createIndex('inbox_parked')
      .on('inbox')
      .columns(['event_id', 'organization_id', 'id'])
      .where(sql<boolean>`state = 'parked'`)
      .execute()
  },
}

/** Which keys each running instance holds: nobody seals with a key that another one cannot open. */
export const keyInstances: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('key_instances')
      .addColumn('instance', 'text', c => c.primaryKey())
      .addColumn('keys', 'text', c => c.notNull())
      .addColumn('beats', 'bigint', c => c.notNull())
      .execute()
  },
}

/** A browser that consented on the sandbox sees nothing of the real platform, nor the other way round. */
export const sessionPlatform: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .alterTable('sessions')
      .addColumn('platform', 'text', c => c.notNull().defaultTo('real'))
      .execute()
    await sql`update sessions set platform = 'sandbox' where id_hash in (
      select s.session_hash from session_connections s join connections c
        on c.event_id = s.event_id and c.organization_id = s.organization_id
      where c.platform = 'sandbox')`.execute(db)
    // An organizer's deliveries are found without reading those of another organization of the event.
    await db.schema.dropIndex('inbox_event').execute()
    const event = db.schema.createIndex('inbox_event').on('inbox')
    await event.columns(['event_id', 'organization_id', 'id']).execute()
    await db.schema.dropIndex('inbox_stuck').execute()
    const stuck = db.schema.createIndex('inbox_stuck').on('inbox')
    await stuck
      .columns(['event_id', 'organization_id', 'state', 'id'])
      .where(sql<boolean>`state = 'parked' or state = 'dead'`)
      .execute()
  },
}

/** What is parked on the other platform is not read past while this one's is woken. */
export const parkedByPlatform: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema.dropIndex('inbox_parked').execute()
    await db.schema
      .createIndex('inbox_parked')
      .on('inbox')
      .columns(['platform', 'event_id', 'organization_id', 'id'])
      .where(sql<boolean>`state = 'parked'`)
      .execute()
  },
}
