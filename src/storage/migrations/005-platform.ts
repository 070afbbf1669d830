import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Tokens of the sandbox are never sent to the real platform, nor the other way round, on one database too. */
export const platform: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .alterTable('connections')
      .addColumn('platform', 'text', c => c.notNull().defaultTo('real'))
      .execute()
  },
}
