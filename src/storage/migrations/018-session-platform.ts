import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

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
