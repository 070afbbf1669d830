import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { withoutRowid } from './types.ts'

/**
 * What the builder's code reads of ours, under names that stay: a later migration that changes these tables drops the
 * views first and makes them again. What its effects brought, and which erasures its own part is still owed for.
 */
export const builder: Migration = {
  async up(db: Kysely<unknown>) {
    await sql`create view revento_participants as select platform, event_id, organization_id, participant_id, name,
      application_status, last_type, occurred_at, updated_at from participants`.execute(db)
    await sql`create view revento_connections as select platform, event_id, organization_id, state, reason, scope,
      connected_at, updated_at from connections`.execute(db)
    await db.schema
      .createTable('effects')
      .addColumn('inbox_id', 'bigint', c => c.notNull())
      .addColumn('name', 'text', c => c.notNull())
      .addColumn('attempt', 'integer', c => c.notNull())
      .addColumn('started_at', 'bigint', c => c.notNull())
      .addColumn('ended_at', 'bigint', c => c.notNull())
      .addColumn('result', 'text')
      .addPrimaryKeyConstraint('effects_pk', ['inbox_id', 'name'])
      .modifyEnd(withoutRowid(db))
      .execute()
    const erasures = db.schema.alterTable('erasures')
    await erasures.addColumn('ending', 'bigint', c => c.notNull().defaultTo(0)).execute()
    await erasures.addColumn('own_done', 'bigint', c => c.notNull().defaultTo(0)).execute()
  },
}
