import { FixedTextError } from '../process/disclosure.ts'
import type { Log } from '../process/log.ts'
import { type Runtime, whenAborted } from '../process/runtime.ts'
import type { Queries } from '../storage/database.ts'
import { isErased, isOf, type Owner } from '../storage/erasures.ts'
import { isOpen } from '../storage/sql.ts'
import type { Own } from './context.ts'
import { ownDb } from './db.ts'

/** The event whose copies have to go. */
export interface ErasedEvent extends Own {
  readonly eventId: string
  /** Null where the ending named no organization. */
  readonly organizationId: string | null
  /** The last `delivery.id` that has to go. What came later belongs to a newer consent; to erase that too is allowed. */
  readonly through: number
  readonly log: Log
  /** Fires at the time limit and when the process stops; the function is called again later. */
  readonly signal: AbortSignal
}

export interface ErasedParticipant extends Own {
  readonly eventId: string
  readonly participantId: string
  readonly log: Log
  readonly signal: AbortSignal
}

/** The builder's part of an erasure. `event` is called again until it succeeds; `participant` by a command only. */
export interface Erase {
  readonly event?: (of: ErasedEvent) => Promise<void>
  readonly participant?: (of: ErasedParticipant) => Promise<void>
}

export interface OwnErasing {
  /** Runs before our tables are erased, so that copies outside can still be found. Resolves also when it fails or is late. */
  begin(owner: Owner, signal: AbortSignal): Promise<void>
  /** Repeats the erasures that failed, in this process or in one that died. */
  watch(signal: AbortSignal): Promise<void>
}

export interface OwnErasingOptions {
  readonly query: Queries
  readonly platform: Owner['platform']
  readonly erase: Erase
  readonly own: Omit<Own, 'db'>
  readonly log: Log
}

/** The builder's share of the time of a run. The rest is for our tables, which are erased in any case. */
const BEGIN_MS = 5_000
const AGAIN_MS = 60_000
const LONGEST_WAIT_MS = 3_600_000
/** Long enough for runs of the event to end: every process aborts its own within a second. */
const QUIET_MS = 2_000
const LOOK_MS = 50
const MOST_AT_ONCE = 50

export function createOwnErasing(o: OwnErasingOptions, runtime: Runtime): OwnErasing {
  const { query, erase, log } = o
  const part = 'erasure'
  /** Endings tried by this process: a large erasure takes several runs, and only the first calls the builder's part. */
  const tried = new Set<number>()

  /** Resolves with whether the builder's part is done. */
  async function attempt(row: Left, withinMs: number, outer: AbortSignal): Promise<boolean> {
    const late = new AbortController()
    const ended = new AbortController()
    const signal = AbortSignal.any([outer, late.signal])
    runtime.sleep(withinMs, ended.signal).then(
      () => late.abort(new EraseTooLong(`its part of the erasure took more than ${withinMs / 1_000} s`)),
      () => {},
    )
    const { event_id: eventId, organization_id, through, ending } = row
    try {
      if (erase.event) {
        await quiet(row, signal)
        const of = {
          ...o.own,
          db: ownDb(query, signal),
          eventId,
          organizationId: organization_id || null,
          through,
        }
        await Promise.race([erase.event({ ...of, log, signal }), whenAborted(signal)])
      }
      await query
        .updateTable('erasures')
        .set({ own_done: ending })
        .where(isOf(row))
        .where('ending', '=', ending)
        .execute()
      return true
    } catch (err) {
      if (!outer.aborted) log.error({ part, event_id: eventId, err }, FAILED)
      return false
    } finally {
      ended.abort()
    }
  }

  /** Waits for runs of the event that are under way: they could write again what is erased here. */
  async function quiet(owner: Owner, signal: AbortSignal): Promise<void> {
    const until = runtime.monotonic() + QUIET_MS
    while (runtime.monotonic() < until) {
      const running = await query
        .selectFrom('inbox')
        .select('id')
        .where(isOpen)
        // Leaves out deliveries that were never claimed, which may be a million.
        .where('next_at', '>', 0)
        .where('state', '=', 'running')
        .where('event_id', '=', owner.event_id)
        .where(isErased)
        .limit(1)
        .executeTakeFirst()
      if (!running) return
      await runtime.sleep(LOOK_MS, signal)
    }
  }

  const left = () =>
    query
      .selectFrom('erasures')
      .select(['platform', 'event_id', 'organization_id', 'through', 'ending'])
      .where('platform', '=', o.platform)
      .whereRef('own_done', '<', 'ending')

  return {
    async begin(owner, signal) {
      const row = await left().where(isOf(owner)).executeTakeFirst()
      if (!row || tried.has(row.ending)) return
      tried.add(row.ending)
      await attempt(row, BEGIN_MS, signal)
    },
    async watch(signal) {
      for (let waitMs = AGAIN_MS; !signal.aborted; ) {
        await runtime.sleep(waitMs, signal).catch(() => {})
        const done = await again(signal).catch(err => {
          if (!signal.aborted) log.error({ part, err }, 'cannot read what is left to erase; trying again')
          return false
        })
        waitMs = done ? AGAIN_MS : Math.min(waitMs * 2, LONGEST_WAIT_MS)
      }
    },
  }

  async function again(signal: AbortSignal): Promise<boolean> {
    const rows = signal.aborted ? [] : await left().limit(MOST_AT_ONCE).execute()
    let done = true
    for (const row of rows) done = (await attempt(row, AGAIN_MS, signal)) && done
    return done
  }
}

class EraseTooLong extends FixedTextError {
  override readonly name = 'EraseTooLong'
}

type Left = Owner & { readonly through: number; readonly ending: number }

const FAILED =
  'src/integration/erase.ts has not done its part: what this app stores is erased, and it is asked again'
