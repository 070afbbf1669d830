import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'
import { byteOrder, withoutRowid } from './types.ts'

/** The copy of each connected event's activities. */
export const activities: Migration = {
  async up(db: Kysely<unknown>) {
    const bytes = byteOrder(db)
    await db.schema
      .createTable('activities')
      .addColumn('platform', 'text', c => c.notNull())
      .addColumn('event_id', 'text', c => c.notNull())
      .addColumn('organization_id', 'text', c => c.notNull())
      .addColumn('activity_id', bytes, c => c.notNull())
      .addColumn('status', bytes)
      .addColumn('data', bytes, c => c.notNull())
      .addColumn('data_delivery', 'bigint', c => c.notNull())
      .addColumn('first_seen_at', 'bigint', c => c.notNull())
      .addColumn('listed_at', bytes, c => c.notNull())
      .addColumn('seen_run', 'bigint', c => c.notNull())
      .addColumn('seen_pass', 'integer', c => c.notNull())
      .addColumn('gone_at', bytes)
      .addColumn('updated_at', 'bigint', c => c.notNull())
      .addPrimaryKeyConstraint('activities_pk', ['platform', 'event_id', 'organization_id', 'activity_id'])
      .modifyEnd(withoutRowid(db))
      .execute()
  },
}
