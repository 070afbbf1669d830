import type { Queries } from '../../storage/database.ts'
import { isOpen } from '../../storage/sql.ts'

/**
 * How long, in ms, the delivery that is due longest has waited for a handler: since it came or was replayed, or since its
 * next try was due. 0 when none waits. Both questions are answered by the index of due rows, however many there are.
 */
export async function oldestWaitMs(query: Queries, now: number): Promise<number> {
  const due = query.selectFrom('outcomes').where(isOpen).limit(1)
  const fresh = await due
    .innerJoin('deliveries', 'deliveries.id', 'outcomes.id')
    .select(eb => eb.fn.coalesce('asked_at', 'received_at').as('since'))
    .where('next_at', '=', 0)
    .orderBy('outcomes.id')
    .executeTakeFirst()
  const again = await due
    .select('next_at as since')
    .where('next_at', '>', 0)
    .where('next_at', '<=', now)
    .orderBy('next_at')
    .executeTakeFirst()
  return Math.max(0, ...[fresh, again].map(row => (row ? now - row.since : 0)))
}
