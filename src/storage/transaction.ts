import { StorageError } from '../process/storage-error.ts'
import type { Queries } from './database.ts'

const TRIES = 4

/**
 * All or nothing. `work` runs again where the database kept nothing of it and another try may succeed: PostgreSQL ends
 * one of two transactions that wait for each other, and all of them when it restarts.
 */
export async function transaction<T>(query: Queries, work: (trx: Queries) => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await query.transaction().execute(work)
    } catch (error) {
      if (!(error instanceof StorageError && error.repeatable) || tries === TRIES) throw error
    }
  }
}
