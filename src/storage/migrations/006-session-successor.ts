import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Two callbacks of one browser at once: the second adds to the session that the first one made. */
export const sessionSuccessor: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema.alterTable('sessions').addColumn('successor', 'text').execute()
  },
}
