import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

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
