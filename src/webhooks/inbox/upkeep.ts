import type { Log } from '../../process/log.ts'
import type { Runtime } from '../../process/runtime.ts'
import type { Queries } from '../../storage/database.ts'
import type { Owner } from '../../storage/erasures.ts'
import type { Platform } from '../../storage/schema.ts'
import { ids, isOpen } from '../../storage/sql.ts'
import { isBusy, parkedAndConnected, WAKE_BATCH, wakeBatch } from './parked.ts'

export interface Upkeep {
  /** Makes parked deliveries due whose event is connected on this platform; those of `first` before the others. */
  wake(first?: Pick<Owner, 'event_id' | 'organization_id'>): void
  /** Mends next tries and leases after the clock was set back, by `setBackMs` where that is known. */
  mend(setBackMs?: number): void
  /** Resolves when nothing is under way. What is left is found by the next process, or by another one. */
  stop(): Promise<void>
}

export interface UpkeepOptions {
  readonly platform: Platform
  readonly leaseMs: number
  /** What this process has claimed and not settled: those leases stay as all others know them. */
  readonly held: ReadonlySet<number>
  readonly log: Log
  /** Called when deliveries became due. */
  readonly woken: () => void
}

const MEND_BATCH = 200
const PAUSE_MS = 10
const BUSY_MS = 100
/** Beyond every backoff, and beyond what Revento may ask for. */
const LONGEST_WAIT_MS = 3 * 3_600_000

/** Works beside the claims in committed batches: no statement grows with what is stored, and an interrupted pass goes on. */
export function createUpkeep(query: Queries, o: UpkeepOptions, runtime: Runtime): Upkeep {
  const stopping = new AbortController()
  const asked: { wake: boolean; mend: number | undefined } = { wake: false, mend: undefined }
  let first: Owner[] = []
  let working: Promise<void> | undefined

  const pause = (ms: number) => runtime.sleep(ms, stopping.signal)

  async function work(): Promise<void> {
    try {
      while (asked.mend !== undefined || asked.wake) {
        const setBackMs = asked.mend
        asked.mend = undefined
        if (setBackMs === undefined) await wakeAll()
        else await mendTimes(query, runtime.now(), { ...o, setBackMs }, () => pause(PAUSE_MS))
      }
    } catch (err) {
      // The next look mends again.
      asked.mend ??= 0
      if (!stopping.signal.aborted)
        o.log.error({ part: 'dispatcher', err }, 'cannot look after what waits; trying again')
    } finally {
      working = undefined
    }
  }

  /** Wakes a batch for each event in turn, so that an event with a million does not delay the others. */
  async function wakeAll(): Promise<void> {
    let keys: Owner[] = []
    while (asked.wake || first.length + keys.length > 0) {
      if (first.length > 0) {
        keys = [...first, ...keys]
        first = []
      } else if (asked.wake) {
        asked.wake = false
        keys = await Array.fromAsync(parkedAndConnected(query, o.platform))
      }
      const more: Owner[] = []
      for (const key of keys) {
        while (await isBusy(query, o.platform, runtime.now())) await pause(BUSY_MS)
        const woken = await wakeBatch(query, key, runtime.now())
        if (woken > 0) o.woken()
        if (woken === WAKE_BATCH) more.push(key)
        await pause(PAUSE_MS)
      }
      keys = more
    }
  }

  function start(): void {
    if (!stopping.signal.aborted) working ??= work()
  }

  return {
    wake(key) {
      asked.wake = true
      if (key) first.push({ platform: o.platform, ...key })
      start()
    },
    mend(setBackMs = 0) {
      asked.mend = (asked.mend ?? 0) + setBackMs
      start()
    },
    async stop() {
      stopping.abort()
      await working
    },
  }
}

/**
 * A row that waits for a moment beyond every lease and retry was written under a clock that has been set back since. The wait
 * goes on for what is left of it where the change of the clock is known; otherwise it is over.
 */
async function mendTimes(
  query: Queries,
  now: number,
  { leaseMs, held, setBackMs }: Pick<UpkeepOptions, 'leaseMs' | 'held'> & { setBackMs: number },
  pause: () => Promise<unknown>,
): Promise<void> {
  const latest = { running: now + leaseMs, pending: now + (setBackMs || LONGEST_WAIT_MS) }
  let after = { next_at: Math.min(latest.running, latest.pending), id: Number.MAX_SAFE_INTEGER }
  for (;;) {
    const rows = await query
      .selectFrom('outcomes')
      .select(['id', 'next_at'])
      .where(isOpen)
      .where(eb => eb(eb.refTuple('next_at', 'id'), '>', eb.tuple(after.next_at, after.id)))
      .orderBy('next_at')
      .orderBy('id')
      .limit(MEND_BATCH)
      .execute()
    const among = query.updateTable('outcomes').where('id', 'in', ids(rows.map(row => row.id)))
    await among
      .set({ next_at: latest.running })
      .where('state', '=', 'running')
      .where('id', 'not in', ids([...held]))
      .where('next_at', '>', latest.running)
      .execute()
    await among
      .set(eb => ({
        next_at: eb
          .case()
          .when('next_at', '>', now + setBackMs + LONGEST_WAIT_MS)
          .then(now)
          .else(eb('next_at', '-', setBackMs))
          .end(),
      }))
      .where('state', '=', 'pending')
      .where('next_at', '>', latest.pending)
      .execute()
    const last = rows.at(-1)
    if (!last || rows.length < MEND_BATCH) return
    after = last
    await pause()
  }
}
