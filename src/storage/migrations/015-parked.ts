import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

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
