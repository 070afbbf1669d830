import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/** The builder's jobs: who runs each, since when, and how it went. */
export const jobs: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('jobs')
      .addColumn('platform', 'text', c => c.notNull())
      .addColumn('name', 'text', c => c.notNull())
      .addColumn('fence', 'integer', c => c.notNull())
      .addColumn('lease_owner', 'text')
      .addColumn('lease_until', 'bigint', c => c.notNull())
      .addColumn('started_at', 'bigint')
      .addColumn('finished_at', 'bigint')
      .addColumn('outcome', 'text')
      .addColumn('last_error', 'text')
      .addColumn('runs', 'integer', c => c.notNull())
      .addColumn('failed', 'integer', c => c.notNull())
      .addColumn('missed', 'integer', c => c.notNull())
      .addPrimaryKeyConstraint('jobs_pk', ['platform', 'name'])
      .execute()
  },
}
