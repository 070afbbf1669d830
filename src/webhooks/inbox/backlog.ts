import type { Runtime } from '../../process/runtime.ts'
import type { Queries } from '../../storage/database.ts'
import { isOpen } from '../../storage/sql.ts'

/** How many stored deliveries wait for their handler, and whether that is too many to take more. */
export interface Backlog {
  /** Called after each commit. */
  added(rows: number): void
  isFull(): boolean
  /** The number as last counted, which goes no further than the limit. */
  waiting(): number
  /** Counts again from the database, about once a second, until the signal fires. */
  watch(signal: AbortSignal): Promise<void>
}

/** About a gigabyte of ordinary deliveries, or hours of work: senders are asked to come again later. */
export const BACKLOG_LIMIT = 1_000_000
const EVERY_MS = 1_000
/** Counting may take one hundredth of the time. */
const SHARE = 100

export function createBacklog(
  query: Queries,
  runtime: Pick<Runtime, 'monotonic' | 'sleep'>,
  limit = BACKLOG_LIMIT,
): Backlog {
  let waiting = 0

  /** Counts in the database, up to the limit, because other processes add and take as well. */
  async function count(): Promise<void> {
    const some = query.selectFrom('outcomes').select('id').where(isOpen).limit(limit).as('some')
    const { n } = await query
      .selectFrom(some)
      .select(eb => eb.fn.countAll<number>().as('n'))
      .executeTakeFirstOrThrow()
    waiting = Number(n)
  }

  return {
    added(rows) {
      waiting += rows
    },
    isFull: () => waiting >= limit,
    waiting: () => waiting,
    async watch(signal) {
      while (!signal.aborted) {
        const begun = runtime.monotonic()
        // Requests are answered 503 while the store fails.
        await count().catch(() => {})
        const pause = Math.max(EVERY_MS, SHARE * (runtime.monotonic() - begun))
        await runtime.sleep(pause, signal).catch(() => {})
      }
    },
  }
}

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
