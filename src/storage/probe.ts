import type { Runtime } from '../process/runtime.ts'
import type { Queries } from './database.ts'

/** A commit of its own, to the one row that is there for it. */
export async function probe(query: Queries, runtime: Pick<Runtime, 'now'>): Promise<void> {
  const row = { id: 1, checked_at: runtime.now() }
  await query
    .insertInto('health')
    .values(row)
    .onConflict(c => c.column('id').doUpdateSet(row))
    .execute()
}
