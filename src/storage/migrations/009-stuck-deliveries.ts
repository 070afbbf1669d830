import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

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
