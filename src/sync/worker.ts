import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { type RunParts, work } from './run.ts'
import { LEASE_MS, type RunRow } from './runs.ts'

export interface WorkerOptions extends RunParts {
  readonly count: (outcome: 'done' | 'failed' | 'stopped') => void
  readonly log: Log & { child(fields: object): Log }
}

export interface Worker {
  /** Claims runs that nobody works at while there is room, with `id` only that run; resolves with how many it claimed. */
  take(signal: AbortSignal, id?: number): Promise<number>
  /** Resolves when no run is under way in this process. */
  settled(): Promise<void>
}

/** Each connection has limits of its own, and its run waits for them most of the time. */
const MOST_AT_ONCE = 50
/** A store that failed is left alone for this long. */
const AGAIN_MS = 5_000
const ELSEWHERE = 'the comparison was ended elsewhere, or its connection was'

export function createWorker(o: WorkerOptions, runtime: Runtime): Worker {
  const { runs } = o
  const owner = runtime.uuid()
  const working = new Map<number, Promise<void>>()

  async function runClaimed(run: RunRow, stopping: AbortSignal): Promise<void> {
    const [lost, ended] = [new AbortController(), new AbortController()]
    const signal = AbortSignal.any([stopping, lost.signal])
    const log = o.log.child({
      part: 'sync',
      run: run.id,
      list: run.list,
      event_id: run.event_id,
      reason: run.reason,
    })
    void renew(run, lost, ended.signal)
    if (run.pages === 0) log.info({}, 'comparing what is stored with Revento’s list')
    else log.info({ pages: run.pages, phase: run.phase }, 'going on with the comparison')
    try {
      const end = await work(run, { ...o, log, signal }, runtime)
      if (!end) return log.info({}, ELSEWHERE)
      await runs.end(run, end)
      o.count(end.outcome)
      await say(run, log)
      if (end.again)
        await runs.open({ eventId: run.event_id, organizationId: run.organization_id }, run.list, {
          reason: run.reason,
          restarts: run.restarts + 1,
        })
    } catch (err) {
      if (lost.signal.aborted) return log.info({}, ELSEWHERE)
      if (!stopping.aborted) log.error({ err }, 'the comparison cannot go on now; trying again')
      if (!stopping.aborted) await runtime.sleep(AGAIN_MS, stopping).catch(() => {})
      await runs.release(run).catch(() => {})
    } finally {
      ended.abort()
    }
  }

  /** One line tells the whole story of a run. */
  async function say({ id }: RunRow, log: Log): Promise<void> {
    const run = await runs.find(id)
    if (!run) return
    const { outcome, problem, pages, counted, added, changed, removed, started_at, finished_at } = run
    const ms = (finished_at ?? 0) - (started_at ?? 0)
    const fields = { outcome, problem, pages, counted, added, changed, removed, ms }
    if (outcome === 'done') log.info(fields, 'comparison done')
    else log.warn(fields, 'comparison ended; nobody counts as gone because of it')
  }

  /** Fires `lost` when another process has taken the run over. */
  async function renew(run: RunRow, lost: AbortController, ended: AbortSignal): Promise<void> {
    for (;;) {
      await runtime.sleep(LEASE_MS / 3, ended).catch(() => {})
      if (ended.aborted) return
      if (!(await runs.renew(run).catch(() => true))) return lost.abort()
    }
  }

  return {
    async take(signal, id) {
      let taken = 0
      while (!signal.aborted && working.size < MOST_AT_ONCE) {
        const run = await runs.claim(owner, {
          except: new Set(working.keys()),
          ...(id !== undefined && { id }),
        })
        if (!run) break
        taken += 1
        working.set(
          run.id,
          runClaimed(run, signal).finally(() => working.delete(run.id)),
        )
      }
      return taken
    },
    async settled() {
      while (working.size > 0) await Promise.allSettled(working.values())
    },
  }
}
