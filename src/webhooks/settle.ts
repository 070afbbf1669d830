import { DELETION_REQUIRED } from '../revento/platform.ts'
import type { Runtime } from '../runtime.ts'
import type { Queries } from '../storage/database.ts'
import type { DeliveryState } from '../storage/schema.ts'
import { StorageError } from '../storage/storage-error.ts'

/** How one run of a handler ended. `retry` comes back after a wait; `released` at once, and did not count. */
export type Outcome =
  | { state: 'done' | 'ignored' }
  | { state: 'parked' | 'dead'; error: string }
  | { state: 'retry'; error: string; delayMs: number }
  | { state: 'released' }

interface Ended {
  readonly id: number
  readonly type: string
  readonly attempt: number
  readonly outcome: Outcome
}

/** A store that fails is asked again until about the end of the lease, or a handler that is done would run again. */
const KEEP_MS = 25_000
const RETRY_MS = 200
const RECONNECTED_MS = 1_000

export interface Settler {
  /** Resolves when the outcome is committed, or when the lease has passed to somebody else. */
  settle(ended: Ended): Promise<void>
}

/** Outcomes that come together are written by one transaction. */
export function createSettler(query: Queries, owner: string, runtime: Runtime): Settler {
  let waiting: { ended: Ended; until: number; resolve: () => void; reject: (e: unknown) => void }[] = []
  let writing = false

  async function writeGroups(): Promise<void> {
    while (waiting.length > 0) {
      const group = waiting
      waiting = []
      try {
        await query.transaction().execute(async trx => {
          for (const { ended } of group) await write(trx, ended)
        })
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

  /** Fenced by owner and attempt: a run that outlived its lease changes nothing. */
  async function write(trx: Queries, { id, type, attempt, outcome }: Ended): Promise<void> {
    const mine = trx
      .updateTable('inbox')
      .set({ lease_owner: null })
      .where('id', '=', id)
      .where('state', '=', 'running')
      .where('lease_owner', '=', owner)
      .where('attempts', '=', attempt)
    const now = runtime.now()
    if (outcome.state === 'parked' && (await reconnected(trx, id)))
      await mine.set({ state: 'pending', next_at: now + RECONNECTED_MS }).execute()
    else
      await mine
        .set(columns(outcome, attempt, now))
        .$if(outcome.state === 'done' && type === DELETION_REQUIRED, q => q.set({ body: null }))
        .execute()
  }

  return {
    settle: ended =>
      new Promise((resolve, reject) => {
        waiting.push({ ended, until: runtime.monotonic() + KEEP_MS, resolve, reject })
        if (writing) return
        writing = true
        setImmediate(() => void writeGroups())
      }),
  }
}

/** The organizer was quicker than the handler: nothing would wake a delivery that is parked after the reconnect. */
async function reconnected(trx: Queries, id: number): Promise<boolean> {
  const row = await trx
    .selectFrom('inbox')
    .innerJoin('connections', c =>
      c
        .onRef('connections.event_id', '=', 'inbox.event_id')
        .onRef('connections.organization_id', '=', 'inbox.organization_id'),
    )
    .select('inbox.id')
    .where('inbox.id', '=', id)
    .where('connections.state', '=', 'connected')
    .executeTakeFirst()
  return row !== undefined
}

function columns(outcome: Outcome, attempt: number, now: number) {
  const pending = { state: 'pending' as DeliveryState }
  switch (outcome.state) {
    case 'released':
      return { ...pending, next_at: now, attempts: attempt - 1 }
    case 'retry':
      return { ...pending, next_at: now + outcome.delayMs, last_error: outcome.error }
    case 'parked':
      return { state: outcome.state, last_error: outcome.error, attempts: attempt - 1 }
    case 'dead':
      return { state: outcome.state, last_error: outcome.error, finished_at: now }
    default:
      return { state: outcome.state, last_error: null, finished_at: now }
  }
}
