import { StorageError } from '../../process/errors.ts'
import type { Runtime } from '../../process/runtime.ts'
import type { Queries } from '../../storage/database.ts'
import { transaction } from '../../storage/sql.ts'
import { writeLog } from '../../storage/sqlite/log.ts'
import { type Ended, isErasing, writeOutcomes } from './outcomes.ts'

export interface Settler {
  /** Resolves when the outcome is committed, or when the lease has passed to somebody else. */
  settle(ended: Ended): Promise<void>
  /** Writes relaxed commits to the disk, unless more outcomes are coming. PostgreSQL does so by itself. */
  flush(): Promise<void>
}

/** A failed write is repeated until about the end of the lease, or a handler that is done would run again. */
const KEEP_MS = 25_000
const RETRY_MS = 200
/** One commit in FLUSH_MS waits for the disk, with all before it; `flush` does so QUIET_MS after the last commit. */
const FLUSH_MS = 500
const QUIET_MS = 100
/** One transaction writes no more outcomes than this, however many handlers ended together. */
const MOST_OUTCOMES = 500

interface Waiting {
  readonly ended: Ended
  readonly until: number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/** Outcomes that come together are written by one transaction. */
export function createSettler(query: Queries, owner: string, runtime: Runtime): Settler {
  let waiting: Waiting[] = []
  let writing = false
  let unflushed = false
  let flushedAt = Number.NEGATIVE_INFINITY
  let relaxedAt = Number.NEGATIVE_INFINITY

  async function writeGroups(): Promise<void> {
    while (waiting.length > 0) {
      const group = waiting.splice(0, MOST_OUTCOMES)
      const ends = group.map(({ ended }) => ended)
      // A power cut may take away an outcome, which costs another run, but must not bring back erased data.
      const now = runtime.monotonic()
      const relaxed = now - flushedAt < FLUSH_MS && !ends.some(isErasing)
      try {
        await transaction(query, trx => writeOutcomes(trx, ends, { owner, now: runtime.now() }), { relaxed })
        unflushed = relaxed
        if (relaxed) relaxedAt = now
        else flushedAt = now
        for (const { resolve } of group) resolve()
      } catch (error) {
        const lasting = group.filter(
          ({ until }) => error instanceof StorageError && until > runtime.monotonic(),
        )
        for (const ended of group) if (!lasting.includes(ended)) ended.reject(error)
        waiting = [...lasting, ...waiting]
        await runtime.sleep(RETRY_MS)
      }
    }
    writing = false
  }

  return {
    settle: ended =>
      new Promise((resolve, reject) => {
        waiting.push({ ended, until: runtime.monotonic() + KEEP_MS, resolve, reject })
        if (writing) return
        writing = true
        setImmediate(() => void writeGroups())
      }),
    async flush() {
      const last = relaxedAt
      if (!unflushed || runtime.monotonic() - last < QUIET_MS) return
      await writeLog(query)
      if (relaxedAt === last) unflushed = false
    },
  }
}
