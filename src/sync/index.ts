import type { SyncChoices } from '../builder/participants.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { OAuth } from '../oauth/index.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import type { ApiClient } from '../revento/api.ts'
import type { Window } from '../revento/budget.ts'
import type { ConnectionKey } from '../revento/platform.ts'
import type { Queries } from '../storage/database.ts'
import { createPeople, type People } from '../storage/people.ts'
import type { Platform } from '../storage/schema.ts'
import type { Inbox } from '../webhooks/inbox/inbox.ts'
import { LISTS, type ListName } from './lists.ts'
import { createMirror } from './mirror.ts'
import { createRuns, type RunRow, type SyncReason } from './runs.ts'
import { createSchedule } from './schedule.ts'
import { createWorker, type Worker, type WorkerOptions } from './worker.ts'

/** A run of a comparison, as the page and the command show it. Moments are ms since 1970. */
export interface RunView {
  readonly id: number
  readonly list: ListName
  readonly reason: SyncReason
  readonly createdAt: number
  readonly startedAt: number | null
  readonly finishedAt: number | null
  readonly outcome: 'done' | 'failed' | 'stopped' | null
  /** The code of why it failed or stopped. */
  readonly problem: string | null
  /** In `confirm` the run looks again for those whom the first pass has missed. */
  readonly phase: 'list' | 'confirm' | 'judge'
  readonly pages: number
  readonly counted: number
  readonly added: number
  readonly changed: number
  readonly removed: number
  /** What the run waits for: `limits`, `revento`, `refresh`, `suspended` or `backlog`. */
  readonly waitsFor: string | null
  readonly waitsUntil: number | null
}

export interface SyncState {
  /** The rows are as of this moment by Revento's clock, or later; undefined before the first complete run. */
  readonly freshAsOf: number | undefined
  readonly open: RunView | undefined
  readonly last: RunView | undefined
}

/** The part of a connection's limits for all its runs together: the rest is for handlers, pages and scripts. */
export const SHARE: readonly Window[] = [
  { limit: 20, lengthMs: 60_000 },
  { limit: 300, lengthMs: 3_600_000 },
]

export interface SyncParts {
  readonly query: Queries
  readonly oauth: Pick<OAuth, 'connections' | 'accessTokens'>
  readonly apiClient: ApiClient
  readonly inbox: Pick<Inbox, 'appendWithin' | 'isFull' | 'trouble'>
  readonly share?: readonly Window[]
  readonly choices: SyncChoices
  readonly metrics: Pick<Metrics, 'sync'>
  readonly log: WorkerOptions['log'] & Log
}

export interface Sync {
  readonly people: People
  readonly worker: Worker
  /** Opens a run of each granted list or returns the open one, participants first; none where the connection has ended. */
  ask(key: ConnectionKey, reason: SyncReason): Promise<readonly RunView[]>
  /** The run of this list that has not ended. */
  open(key: ConnectionKey, list: ListName): Promise<RunView | undefined>
  run(id: number): Promise<RunView | undefined>
  state(key: ConnectionKey): Promise<SyncState>
  /** Called when a connection was made. With SYNC_EVERY_HOURS 0 it does nothing. */
  connected(key: ConnectionKey): void
  start(signal: AbortSignal): void
}

/** A run that has to wait longer for the limits pauses, and leaves its place in flight to others. */
const PATIENCE_MS = 2_000
const LOOK_MS = 2_000
const SCHEDULE_MS = 60_000

/** The copy of Revento's lists, and the runs that compare it with them. */
export function createSync(
  config: { readonly mode: Platform; readonly syncEveryMs: number },
  o: SyncParts,
  runtime: Runtime,
): Sync {
  const { query, oauth, inbox, log } = o
  const platform = config.mode
  const everyMs = config.syncEveryMs
  const runs = createRuns(query, { platform, tellFirst: o.choices.tellFirstRun }, runtime)
  const people = createPeople(query, platform)
  const mirror = createMirror(query, inbox.appendWithin, runtime)
  const schedule = createSchedule({ query, runs, connections: oauth.connections, everyMs }, runtime)
  const api: WorkerOptions['api'] = ({ id, event_id, organization_id }, more) => {
    const key = { eventId: event_id, organizationId: organization_id }
    return o.apiClient.forEvent(key, (call, scope) => oauth.accessTokens.use(key, call, { scope }), {
      ...{ patienceMs: PATIENCE_MS, share: o.share ?? SHARE, about: { run: id } },
      ...more,
    })
  }
  const worker = createWorker(
    { runs, mirror, api, isFull: inbox.isFull, count: o.metrics.sync, log },
    runtime,
  )
  let wake = new AbortController()

  /** Logs a failure, unless it comes from the stop of the process. */
  const failing = (what: string, signal?: AbortSignal) => (err: unknown) => {
    if (!signal?.aborted) log.error({ part: 'sync', err }, what)
  }

  async function ask(key: ConnectionKey, reason: SyncReason): Promise<RunView[]> {
    const opened: RunView[] = []
    for (const { name } of LISTS) {
      const run = await runs.open(key, name, { reason })
      if (run) opened.push(viewOf(run))
    }
    wake.abort()
    return opened
  }

  async function plan(): Promise<void> {
    if (everyMs === 0 || inbox.trouble() !== undefined || inbox.isFull()) return
    if (await schedule.beat()) {
      log.warn(
        { part: 'sync' },
        'no webhook was taken for more than an hour: comparing all that is connected',
      )
      await schedule.all('outage')
    }
    await schedule.look()
  }

  async function watch(signal: AbortSignal): Promise<void> {
    let plannedAt = Number.NEGATIVE_INFINITY
    while (!signal.aborted) {
      wake = new AbortController()
      if (runtime.monotonic() - plannedAt >= SCHEDULE_MS) {
        plannedAt = runtime.monotonic()
        await plan().catch(failing('cannot look which comparisons are due; trying again', signal))
      }
      await worker.take(signal).catch(failing('cannot look for comparisons; trying again', signal))
      await runtime.sleep(LOOK_MS, AbortSignal.any([signal, wake.signal])).catch(() => {})
    }
  }

  return {
    people,
    worker,
    ask,
    async run(id) {
      const run = await runs.find(id)
      return run && viewOf(run)
    },
    async open(key, list) {
      const { open } = await runs.newest(key, list)
      return open && viewOf(open)
    },
    async state(key) {
      const [{ open, last }, freshAsOf] = await Promise.all([
        runs.newest(key, 'participants'),
        people.freshAsOf(key),
      ])
      return { freshAsOf, open: open && viewOf(open), last: last && viewOf(last) }
    },
    connected(key) {
      if (everyMs > 0) void ask(key, 'connected').catch(failing('cannot begin the comparison; trying again'))
    },
    start(signal) {
      void watch(signal)
    },
  }
}

const viewOf = (run: RunRow): RunView => ({
  id: run.id,
  list: run.list,
  reason: run.reason,
  createdAt: run.created_at,
  startedAt: run.started_at,
  finishedAt: run.finished_at,
  outcome: run.outcome,
  problem: run.problem,
  phase: run.phase,
  pages: run.pages,
  counted: run.counted,
  added: run.added,
  changed: run.changed,
  removed: run.removed,
  waitsFor: run.waits_for,
  waitsUntil: run.waits_until,
})
