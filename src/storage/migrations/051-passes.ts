import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/** A comparison reads the list again until two passes agree on who is in it, so each row says which pass saw it last. */
export const passes: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .alterTable('participants')
      .addColumn('seen_pass', 'integer', c => c.notNull().defaultTo(0))
      .execute()
    await db.schema
      .alterTable('sync_runs')
      .addColumn('pass', 'integer', c => c.notNull().defaultTo(1))
      .execute()
  },
}
