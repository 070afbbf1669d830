import type { Queries } from '../../src/storage/database.ts'
import { GRANT_TABLES } from '../../src/storage/grants.ts'

/** Makes every lease and wait of a refresh older by `ms`, for processes whose clock the test cannot move. */
export async function elapse(query: Queries, ms: number): Promise<void> {
  for (const table of GRANT_TABLES)
    await query
      .updateTable(table as 'connections')
      .set(eb => ({
        lease_until: eb('lease_until', '-', ms),
        refresh_not_before: eb('refresh_not_before', '-', ms),
        refresh_noted_at: eb('refresh_noted_at', '-', ms),
      }))
      .execute()
}
