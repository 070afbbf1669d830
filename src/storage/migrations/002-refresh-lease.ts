import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** SQLite adds one column a statement. */
export const refreshLease: Migration = {
  async up(db: Kysely<unknown>) {
    const connections = db.schema.alterTable('connections')
    await connections.addColumn('lease_owner', 'text').execute()
    await connections.addColumn('lease_until', 'bigint', c => c.notNull().defaultTo(0)).execute()
    await connections
      .addColumn('refresh_phase', 'text', c =>
        c.notNull().defaultTo('idle').check(sql`refresh_phase in ('idle','sent','recovering')`),
      )
      .execute()
    await connections.addColumn('refresh_not_before', 'bigint', c => c.notNull().defaultTo(0)).execute()
    await connections.addColumn('refresh_failure', 'text').execute()
    await connections.addColumn('refresh_failures', 'integer', c => c.notNull().defaultTo(0)).execute()
    await connections.addColumn('refresh_failing_since', 'bigint', c => c.notNull().defaultTo(0)).execute()
  },
}
