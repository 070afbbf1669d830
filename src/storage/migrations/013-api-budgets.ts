import type { Kysely } from 'kysely'
import type { Migration } from 'kysely/migration'

/**
 * Revento's limits are a connection's, so what it has used is counted here, for all processes; and so is when the app
 * last called it for no other reason than to keep it alive, or to see whether its suspension was lifted.
 */
export const apiBudgets: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .createTable('api_budgets')
      .addColumn('platform', 'text', c => c.notNull())
      .addColumn('event_id', 'text', c => c.notNull())
      .addColumn('organization_id', 'text', c => c.notNull())
      .addColumn('budget', 'text', c => c.notNull())
      .addPrimaryKeyConstraint('api_budgets_pk', ['platform', 'event_id', 'organization_id'])
      .execute()
    const connections = db.schema.alterTable('connections')
    await connections.addColumn('asked_at', 'bigint', c => c.notNull().defaultTo(0)).execute()
    await connections.addColumn('asks', 'integer', c => c.notNull().defaultTo(0)).execute()
  },
}
