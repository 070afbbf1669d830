import type { Log } from '../log.ts'
import type { Runtime } from '../runtime.ts'
import type { Queries } from '../storage/database.ts'
import type { Owner } from '../storage/erasures.ts'
import { ids, isOpen } from '../storage/records.ts'
import type { Platform } from '../storage/schema.ts'
import { isBusy, parkedAndConnected, WAKE_BATCH, wakeBatch } from './parked.ts'

export interface Upkeep {
  /** Makes parked deliveries due whose event is connected on this platform; those of `first` before the others. */
  wake(first?: Pick<Owner, 'event_id' | 'organization_id'>): void
  /** After the clock was set back: brings next tries and leases to where they can be. */
  mend(): void
  /** Resolves when nothing is under way. What was left is found by the next process, or by another one. */
  stop(): Promise<void>
}

export interface UpkeepOptions {
  readonly platform: Platform
  readonly leaseMs: number
  readonly log: Log
  /** Deliveries became due. */
  readonly woken: () => void
}

const MEND_BATCH = 200
const PAUSE_MS = 10
const BUSY_MS = 100
/** Beyond every backoff, and beyond what Revento may ask for. */
const LONGEST_WAIT_MS = 3 * 3_600_000

/**
 * What the dispatcher needs done beside its claims: in batches, each committed, so that no statement grows with what is
 * stored, and whatever is interrupted goes on from the rows themselves.
 */
export function createUpkeep(query: Queries, o: UpkeepOptions, runtime: Runtime): Upkeep {
  const stopping = new AbortController()
  const asked: { wake: boolean; mend: boolean } = { wake: false, mend: false }
  let first: Owner[] = []
  let working: Promise<void> | undefined

  const pause = (ms: number) => runtime.sleep(ms, stopping.signal)

  async function work(): Promise<void> {
    try {
      while (asked.mend || asked.wake) {
        if (asked.mend) {
          asked.mend = false
          await mendTimes(query, runtime.now(), o.leaseMs, () => pause(PAUSE_MS))
        } else await wakeAll()
      }
    } catch (err) {
      // With the next look.
      asked.mend = true
      if (!stopping.signal.aborted)
        o.log.error({ part: 'dispatcher', err }, 'cannot look after what waits; trying again')
    } finally {
      working = undefined
    }
  }

  /** In turns, a batch for each event: one with a million does not hold up the others. */
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
    mend() {
      asked.mend = true
      start()
    },
    async stop() {
      stopping.abort()
      await working
    },
  }
}

/**
 * What waits for a moment that no lease and no retry reaches was written under a clock that has been set back since: it
 * would wait until that moment comes again.
 */
async function mendTimes(
  query: Queries,
  now: number,
  leaseMs: number,
  pause: () => Promise<unknown>,
): Promise<void> {
  const latest = { running: now + leaseMs, pending: now + LONGEST_WAIT_MS }
  let after = { next_at: latest.running, id: Number.MAX_SAFE_INTEGER }
  for (;;) {
    const rows = await query
      .selectFrom('inbox')
      .select(['id', 'next_at'])
      .where(isOpen)
      .where(eb => eb(eb.refTuple('next_at', 'id'), '>', eb.tuple(after.next_at, after.id)))
      .orderBy('next_at')
      .orderBy('id')
      .limit(MEND_BATCH)
      .execute()
    for (const state of ['running', 'pending'] as const)
      await query
        .updateTable('inbox')
        .set({ next_at: latest[state] })
        .where('id', 'in', ids(rows.map(row => row.id)))
        .where('state', '=', state)
        .where('next_at', '>', latest[state])
        .execute()
    const last = rows.at(-1)
    if (!last || rows.length < MEND_BATCH) return
    after = last
    await pause()
  }
}
