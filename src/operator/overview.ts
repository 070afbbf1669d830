import type { Selectable } from 'kysely'
import type { KeyState } from '../keys/verdict.ts'
import type { Runtime } from '../process/runtime.ts'
import { type Budget, current, WINDOWS } from '../revento/budget.ts'
import type { Queries } from '../storage/database.ts'
import type { ConnectionState, JobsTable, Platform } from '../storage/schema.ts'
import type { InboxQueries, Row } from './queries.ts'
import type { Replay, Replays } from './replays.ts'
import type { Rollups, Slot } from './rollups.ts'

/** Deliveries that failed alike: of one type, with one error. */
export interface Failing {
  readonly type: string
  readonly error: string
  readonly count: number
  /** When the first of them came. */
  readonly since: number
  readonly newest: number
}

interface ConnectionLine {
  readonly event_id: string
  readonly organization_id: string
  readonly state: ConnectionState
  readonly refresh_failure: string | null
  /** The stored participants are as of this moment, ISO 8601. */
  readonly fresh_at: string | null
  /** Calls that count now against Revento's limits. */
  readonly used: { minute: number; hour: number }
}

/** All that the overview shows. Counts go no further than MOST. */
export interface Overview {
  readonly now: number
  readonly trouble: string | undefined
  readonly stalledMs: number
  readonly waiting: number
  readonly oldestMs: number
  readonly dead: number
  readonly parked: number
  /** Why the newest SEEN dead deliveries failed, and those that failed and run again. */
  readonly givenUp: readonly Failing[]
  readonly failing: readonly Failing[]
  readonly hour: readonly Slot[]
  readonly day: readonly Slot[]
  readonly states: Readonly<Record<string, number>>
  readonly connections: readonly ConnectionLine[]
  readonly jobs: readonly Selectable<JobsTable>[]
  readonly keys: readonly KeyState[]
  readonly replays: readonly Replay[]
  readonly latest: readonly Row[]
}

export interface OverviewParts {
  readonly query: Queries
  readonly platform: Platform
  readonly inbox: InboxQueries
  readonly rollups: Rollups
  readonly replays: Replays
  readonly trouble: () => Promise<string | undefined>
  readonly handling: { stalledMs(): number; waiting(): number }
  readonly oldestMs: () => Promise<number>
  readonly keyChanges: () => Promise<readonly KeyState[]>
}

export const MOST = 10_000
const SEEN = 500
const LISTED = 12

export async function readOverview(o: OverviewParts, runtime: Pick<Runtime, 'now'>): Promise<Overview> {
  const { inbox, rollups, query, platform } = o
  const now = runtime.now()
  // The questions are asked side by side, since no answer needs another.
  const [
    trouble,
    oldestMs,
    dead,
    retrying,
    parked,
    hour,
    day,
    states,
    connections,
    jobs,
    keys,
    replays,
    latest,
  ] = await Promise.all([
    ...([o.trouble(), o.oldestMs(), inbox.newest('dead', SEEN), inbox.newest('pending', SEEN)] as const),
    ...([inbox.count('parked', MOST), rollups.read(60, 1), rollups.read(96, 15)] as const),
    ...([statesOf(o), connectionsOf(o, now)] as const),
    query.selectFrom('jobs').selectAll().where('platform', '=', platform).execute(),
    ...([o.keyChanges(), o.replays.list(3), inbox.list({}, LISTED)] as const),
  ])
  return {
    ...{ now, trouble, stalledMs: o.handling.stalledMs(), waiting: o.handling.waiting(), oldestMs },
    dead: dead.length < SEEN ? dead.length : await inbox.count('dead', MOST),
    ...{
      parked,
      givenUp: alike(dead),
      failing: alike(retrying),
      hour,
      day,
      states,
      connections,
      jobs,
      keys,
      replays,
    },
    latest: latest.rows,
  }
}

function alike(rows: Awaited<ReturnType<InboxQueries['newest']>>): Failing[] {
  const failed = rows.filter(row => row.last_error !== null)
  const groups = Object.values(Object.groupBy(failed, row => `${row.type}\n${row.last_error}`))
  return groups
    .flatMap((group = []) => {
      const [first] = group
      if (!first) return []
      return {
        type: first.type,
        error: first.last_error ?? '',
        count: group.length,
        since: Math.min(...group.map(row => row.received_at)),
        newest: Math.max(...group.map(row => row.id)),
      }
    })
    .toSorted((a, b) => b.count - a.count)
}

async function statesOf({ query, platform }: OverviewParts): Promise<Record<string, number>> {
  const rows = await query
    .selectFrom('connections')
    .select(eb => ['state', eb.fn.countAll<number>().as('n')])
    .where('platform', '=', platform)
    .groupBy('state')
    .execute()
  return Object.fromEntries(rows.map(({ state, n }) => [state, Number(n)]))
}

/** Lists connections in trouble first, then those that called last. */
async function connectionsOf({ query, platform }: OverviewParts, now: number): Promise<ConnectionLine[]> {
  const rows = await query
    .selectFrom('connections')
    .leftJoin('api_budgets', on =>
      on
        .onRef('api_budgets.platform', '=', 'connections.platform')
        .onRef('api_budgets.event_id', '=', 'connections.event_id')
        .onRef('api_budgets.organization_id', '=', 'connections.organization_id'),
    )
    .select(['connections.event_id', 'connections.organization_id', 'state', 'refresh_failure', 'budget'])
    .select(eb =>
      eb
        .selectFrom('sync_runs')
        .select(e => e.fn.max<string | null>('fresh_at').as('fresh_at'))
        .whereRef('sync_runs.platform', '=', 'connections.platform')
        .whereRef('sync_runs.event_id', '=', 'connections.event_id')
        .whereRef('sync_runs.organization_id', '=', 'connections.organization_id')
        .where('list', '=', 'participants')
        .where('outcome', '=', 'done')
        .as('fresh_at'),
    )
    .where('connections.platform', '=', platform)
    .where('state', '<>', 'deleted')
    .orderBy(eb =>
      eb
        .case()
        .when('refresh_failure', 'is not', null)
        .then(0)
        .when('state', '=', 'connected')
        .then(2)
        .else(1)
        .end(),
    )
    .orderBy('connections.updated_at', 'desc')
    .limit(LISTED)
    .execute()
  return rows.map(({ budget, ...row }) => ({ ...row, used: usedOf(budget, now) }))
}

function usedOf(json: string | null, now: number) {
  const used = (window: (typeof WINDOWS)[number] | undefined) => {
    if (json === null || !window) return 0
    const { ended, open } = current(JSON.parse(json) as Budget, now, [window])
    return ended.length + Object.keys(open).length
  }
  return { minute: used(WINDOWS[0]), hour: used(WINDOWS[1]) }
}
