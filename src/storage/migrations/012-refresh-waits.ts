import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/**
 * When a wait was noted: under a clock that was ahead it does not count, nor does one of an earlier version, which could
 * be a year. `recovering` said that a second request was unaccounted for, which ended the connection; now it is asked
 * again, however many there were.
 */
export const refreshWaits: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema
      .alterTable('connections')
      .addColumn('refresh_noted_at', 'bigint', c => c.notNull().defaultTo(0))
      .execute()
    await sql`update connections set refresh_not_before = 0`.execute(db)
    await sql`update connections set refresh_phase = 'sent' where refresh_phase = 'recovering'`.execute(db)
  },
}
