import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/** What `npm run go-live -- --platform` reports: kinds of answers, and differences in words of this program. */
export const drift: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('platform_drift')
      .addColumn('platform', 'text', c => c.notNull())
      .addColumn('contract', 'text', c => c.notNull())
      .addColumn('said', 'text', c => c.notNull())
      .addPrimaryKeyConstraint('platform_drift_pk', ['platform', 'contract', 'said'])
      .execute()
  },
}
