import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

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
