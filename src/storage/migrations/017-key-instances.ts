import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

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
