import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

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
