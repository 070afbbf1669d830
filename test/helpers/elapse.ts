import type { Queries } from '../../src/storage/database.ts'

/** For processes whose clock nobody can move: every lease and wait of a refresh is older by `ms`. */
export async function elapse(query: Queries, ms: number): Promise<void> {
  await query
    .updateTable('connections')
    .set(eb => ({
      lease_until: eb('lease_until', '-', ms),
      refresh_not_before: eb('refresh_not_before', '-', ms),
      refresh_noted_at: eb('refresh_noted_at', '-', ms),
    }))
    .execute()
}
