import { DELETION_REQUIRED } from '../revento/platform.ts'
import type { Runtime } from '../runtime.ts'
import type { Queries } from '../storage/database.ts'
import type { DeliveryState } from '../storage/schema.ts'

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

export interface Settler {
  /** Resolves when the outcome is committed, or when the lease has passed to somebody else. */
  settle(ended: Ended): Promise<void>
}

/** Outcomes that come together are written by one transaction. */
export function createSettler(query: Queries, owner: string, runtime: Runtime): Settler {
  let waiting: { ended: Ended; resolve: () => void; reject: (e: unknown) => void }[] = []
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
        for (const { reject } of group) reject(error)
      }
    }
    writing = false
  }

  /** Fenced by owner and attempt: a run that outlived its lease changes nothing. */
  async function write(trx: Queries, { id, type, attempt, outcome }: Ended): Promise<void> {
    await trx
      .updateTable('inbox')
      .set({ ...columns(outcome, attempt, runtime.now()), lease_owner: null })
      .$if(outcome.state === 'done' && type === DELETION_REQUIRED, q => q.set({ body: null }))
      .where('id', '=', id)
      .where('state', '=', 'running')
      .where('lease_owner', '=', owner)
      .where('attempts', '=', attempt)
      .execute()
  }

  return {
    settle: ended =>
      new Promise((resolve, reject) => {
        waiting.push({ ended, resolve, reject })
        if (writing) return
        writing = true
        setImmediate(() => void writeGroups())
      }),
  }
}

function columns(outcome: Outcome, attempt: number, now: number) {
  const pending = { state: 'pending' as DeliveryState }
  switch (outcome.state) {
    case 'released':
      return { ...pending, next_at: now, attempts: attempt - 1 }
    case 'retry':
      return { ...pending, next_at: now + outcome.delayMs, last_error: outcome.error }
    case 'parked':
      return { state: outcome.state, last_error: outcome.error }
    case 'dead':
      return { state: outcome.state, last_error: outcome.error, finished_at: now }
    default:
      return { state: outcome.state, last_error: null, finished_at: now }
  }
}
