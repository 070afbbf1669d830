import type { Selectable } from 'kysely'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { waitLeft } from '../process/trusted-time.ts'
import type { Queries } from '../storage/database.ts'
import type { Platform, ReplaysTable } from '../storage/schema.ts'
import { lock, transaction } from '../storage/sql.ts'
import type { Filter } from './filter.ts'
import type { InboxQueries } from './queries.ts'

export type Replay = Selectable<ReplaysTable>

/**
 * Replays of all deliveries that a filter finds. A row says how far a replay is, and each step moves deliveries and row in
 * one transaction: so several processes (instances, the command) may step without a repeat, and any of them may end.
 */
export interface Replays {
  /** Begins a replay, or returns one under way whose filter differs in its times at most. */
  begin(filter: Filter): Promise<Replay>
  /** Lists the newest first. */
  list(limit: number): Promise<Replay[]>
  find(id: number): Promise<Replay | undefined>
  /** False where it is over already. */
  stop(id: number): Promise<boolean>
  /** Moves each replay that is due a step on. */
  step(): Promise<void>
  watch(log: Pick<Log, 'error'>, signal: AbortSignal): Promise<void>
}

const ALIKE = ['state', 'provider', 'type', 'event_id'] as const
const isAlike = (a: Filter, b: Filter) => ALIKE.every(name => a[name] === b[name])

/** Deliveries of a replay that become due in a second, in all processes together: handlers must not be flooded. */
export const PER_STEP = 50
const STEP_EVERY_MS = 1_000
const LOOK_EVERY_MS = 1_000

export function createReplays(
  query: Queries,
  { platform, inbox }: { platform: Platform; inbox: Pick<InboxQueries, 'step' | 'countReplayable'> },
  runtime: Runtime,
): Replays {
  const all = (trx = query) => trx.selectFrom('replays').selectAll().where('platform', '=', platform)
  const running = (trx = query) => all(trx).where('state', '=', 'running').orderBy('id').execute()

  async function step(): Promise<void> {
    const now = runtime.now()
    for (const replay of await running()) {
      const { stepped_at: since } = replay
      if (waitLeft({ since, until: since + STEP_EVERY_MS }, now, STEP_EVERY_MS) > 0) continue
      await inbox.step(replay, JSON.parse(replay.filter) as Filter, PER_STEP)
    }
  }

  return {
    async begin(filter) {
      const { total, through } = await inbox.countReplayable(filter)
      const text = JSON.stringify(filter)
      return transaction(query, async trx => {
        await lock(trx, `replays ${platform}`)
        const same = (await running(trx)).find(replay => isAlike(JSON.parse(replay.filter) as Filter, filter))
        if (same) return same
        const created_at = runtime.now()
        return trx
          .insertInto('replays')
          .values({
            ...{ platform, filter: text, state: total > 0 ? 'running' : 'done', total, replayed: 0 },
            ...{ last_id: 0, through_id: through, created_at, stepped_at: 0 },
          })
          .returningAll()
          .executeTakeFirstOrThrow()
      })
    },
    list: limit => all().orderBy('id', 'desc').limit(limit).execute(),
    find: id => all().where('id', '=', id).executeTakeFirst(),
    async stop(id) {
      const { numUpdatedRows } = await query
        .updateTable('replays')
        .set({ state: 'stopped' })
        .where('id', '=', id)
        .where('platform', '=', platform)
        .where('state', '=', 'running')
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },
    step,
    async watch(log, signal) {
      while (!signal.aborted) {
        await step().catch(err => log.error({ part: 'replays', err }, 'cannot replay; trying again'))
        await runtime.sleep(LOOK_EVERY_MS, signal).catch(() => {})
      }
    },
  }
}
