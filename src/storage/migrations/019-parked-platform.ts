import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

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
