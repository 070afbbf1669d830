import type { Connection, ConnectionKey, Connections } from '../oauth/connections.ts'
import type { Runtime } from '../process/runtime.ts'
import { isOlderThan, waitLeft } from '../process/trusted-time.ts'
import type { Queries } from '../storage/database.ts'
import type { RunRow, Runs, SyncReason } from './runs.ts'

/** After a run that failed, the next begins no sooner. */
const FAILED_MS = 3_600_000
/** Webhooks that were not taken for this long may have been given up by Revento. */
const OUTAGE_MS = 3_600_000
/** The row of the table `health` that says when webhooks were last taken. */
const BEAT = 2

export interface Schedule {
  /** Opens the runs that are due. */
  look(): Promise<void>
  /** Opens a run of each connection. */
  all(reason: SyncReason): Promise<void>
  /** Notes that webhooks are taken. True: they were not, for so long that some may never come. */
  beat(): Promise<boolean>
}

export interface ScheduleOptions {
  readonly query: Queries
  readonly runs: Runs
  readonly connections: Pick<Connections, 'list'>
  readonly everyMs: number
}

export function createSchedule(o: ScheduleOptions, runtime: Pick<Runtime, 'now'>): Schedule {
  const { query, runs } = o

  async function due(connection: Connection): Promise<SyncReason | undefined> {
    const { open, last } = await runs.newest(connection)
    if (open?.connected_at === connection.connectedAt) return undefined
    if (last?.connected_at !== connection.connectedAt) return 'connected'
    return isDue(last, o.everyMs, runtime.now()) ? 'scheduled' : undefined
  }

  const listed = async () => (await o.connections.list()).filter(isListed)

  return {
    async look() {
      for (const connection of await listed()) {
        const reason = await due(connection)
        if (reason) await runs.open(connection, reason)
      }
    },
    async all(reason) {
      for (const connection of await listed()) await runs.open(connection, reason)
    },
    async beat() {
      const now = runtime.now()
      const row = { id: BEAT, checked_at: now }
      const before = await query
        .selectFrom('health')
        .select('checked_at')
        .where('id', '=', BEAT)
        .executeTakeFirst()
      await query
        .insertInto('health')
        .values(row)
        .onConflict(c => c.column('id').doUpdateSet(row))
        .execute()
      return before !== undefined && isOlderThan(before.checked_at, OUTAGE_MS, now)
    },
  }
}

/** Without any stored scope Revento did not name them. */
const isListed = ({ state, scopes }: Connection & ConnectionKey) =>
  state === 'connected' && (scopes.length === 0 || scopes.includes('participants.read'))

/** A run that began in the future was noted by a wrong clock: the next one is due. */
function isDue({ outcome, created_at, finished_at }: RunRow, everyMs: number, now: number): boolean {
  const ms = outcome === 'done' ? everyMs : Math.min(everyMs, FAILED_MS)
  const since = outcome === 'done' ? created_at : (finished_at ?? created_at)
  return waitLeft({ since, until: since + ms }, now, ms) === 0
}
