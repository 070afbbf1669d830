import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { isPostgres } from '../sql.ts'

/**
 * A delivery's only run, which ended well, is told of by its row in `outcomes`: of those that are stored the run stays where
 * it is. The view `runs` has both.
 */
export const onlyRuns: Migration = {
  async up(db: Kysely<unknown>) {
    await db.schema.alterTable('outcomes').addColumn('started_at', 'bigint').execute()
    await sql`create view runs as
      select inbox_id, started_at, ended_at, attempt, outcome, error, calls from attempts
      union all select id, started_at, finished_at, 1, 'done', null, null from outcomes where started_at is not null`.execute(
      db,
    )
    // A changed row that finds room in its own page costs PostgreSQL's log what has changed; elsewhere, all of it and a lock.
    if (isPostgres(db)) await sql`alter table outcomes set (fillfactor = 40)`.execute(db)
  },
}
