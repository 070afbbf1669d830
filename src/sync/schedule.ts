import type { Connection, Connections } from '../oauth/connections.ts'
import type { Runtime } from '../process/runtime.ts'
import { isOlderThan, waitLeft } from '../process/trusted-time.ts'
import type { Queries } from '../storage/database.ts'
import { isGranted, LISTS, type List } from './lists.ts'
import type { RunRow, Runs, SyncReason } from './runs.ts'

/** The least time between a failed run and the next. */
const FAILED_MS = 3_600_000
/** When no webhook could be received for this long, Revento may have given some up. */
const OUTAGE_MS = 3_600_000
/** The row of the table `health` that says when webhooks could last be received. */
const BEAT = 2

export interface Schedule {
  /** Opens the runs that are due. */
  look(): Promise<void>
  /** Opens a run of each connection. */
  all(reason: SyncReason): Promise<void>
  /** Notes that webhooks can be received; true where they could not for so long that some may never come. */
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

  async function due(connection: Connection, { name }: List): Promise<SyncReason | undefined> {
    const { open, last } = await runs.newest(connection, name)
    if (open?.connected_at === connection.connectedAt) return undefined
    if (last?.connected_at !== connection.connectedAt) return 'connected'
    return isDue(last, o.everyMs, runtime.now()) ? 'scheduled' : undefined
  }

  /** The connections and lists that may be compared now. */
  const listed = async () =>
    (await o.connections.list())
      .filter(({ state }) => state === 'connected')
      .flatMap(connection =>
        LISTS.filter(list => isGranted(list, connection.scopes)).map(list => [connection, list] as const),
      )

  return {
    async look() {
      for (const [connection, list] of await listed()) {
        const reason = await due(connection, list)
        if (reason) await runs.open(connection, list.name, { reason })
      }
    },
    async all(reason) {
      for (const [connection, { name }] of await listed()) await runs.open(connection, name, { reason })
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

/** A run that began in the future was noted by a wrong clock: the next one is due. */
function isDue({ outcome, created_at, finished_at }: RunRow, everyMs: number, now: number): boolean {
  const ms = outcome === 'done' ? everyMs : Math.min(everyMs, FAILED_MS)
  const since = outcome === 'done' ? created_at : (finished_at ?? created_at)
  return waitLeft({ since, until: since + ms }, now, ms) === 0
}
