import type { ConnectionKey } from '../../oauth/connections.ts'
import { atMost, type Runtime } from '../../process/runtime.ts'
import { createSteadyClock } from '../../process/trusted-time.ts'
import { DELETION_REQUIRED } from '../../revento/platform.ts'
import type { Queries } from '../../storage/database.ts'
import { erasedAmong } from '../../storage/erasures.ts'
import type { Platform } from '../../storage/schema.ts'
import { isPostgres } from '../../storage/sql.ts'
import { type Claimed, claim } from '../inbox/claim.ts'
import { createSettler } from '../inbox/settle.ts'
import { createUpkeep } from '../inbox/upkeep.ts'
import { createDispatchLog, type DispatchLogOptions } from './log.ts'
import { createPace } from './pace.ts'
import {
  type AttemptOptions,
  createAttempt,
  HandlerErased,
  HandlerStopped,
  HandlerTimeout,
  MAX_ATTEMPTS,
  type Run,
  TIME_LIMIT_MS,
} from './run.ts'

export interface DispatcherOptions extends AttemptOptions, DispatchLogOptions {
  readonly concurrency: number
  readonly platform: Platform
  readonly hasHandler: (provider: string, type: string) => boolean
  /** Fires when an error that nobody caught ends the process: the runs under way are then accused, as after any crash. */
  readonly crashed?: AbortSignal | undefined
}

export interface Dispatcher {
  start(): void
  /** Called when deliveries were committed: looks now instead of at the next poll. */
  arrived(): void
  /** A connection was made or can be used again: its parked deliveries go on. Without the call they would a little later. */
  resume(key?: ConnectionKey): void
  /** For how long, in ms, it could not look for deliveries; 0 before the start. */
  stalledMs(): number
  /** Claims nothing more, aborts handlers, and gives back deliveries whose runs have not ended after `graceMs`. */
  stop(graceMs: number): Promise<void>
}

const LEASE_MS = 30_000
const POLL_MS = 1_000
/** The reason that ends a sleep: an abort without a reason makes an error with its stack. */
const WOKEN = 'woken'
/** The most runs under way or without a stored outcome: no further run begins then, because a kill -9 repeats them all. */
const UNSETTLED = 20
/** A group of outcomes costs six round trips to a server: in groups of twenty a third fewer deliveries were handled. */
const UNSETTLED_AT_A_SERVER = 100
/** The process that took a reconnect may have ended before all deliveries were woken, so every process goes on. */
const WAKE_EVERY_MS = 10_000
/** How old the knowledge of which deliveries are erased may be: when a run begins, and while runs are under way. */
const BEGIN_FRESH_MS = 50
const RUN_FRESH_MS = 500

export function createDispatcher(query: Queries, o: DispatcherOptions, runtime: Runtime): Dispatcher {
  // The owner is short, because each claim writes it to every row that it leases.
  const owner = runtime.bytes(9).toString('base64url')
  const settler = createSettler(query, owner, runtime)
  const stopping = new AbortController()
  const begin = createAttempt(o, stopping.signal, runtime)
  const pace = createPace(o.concurrency, runtime)
  const tell = createDispatchLog(o)
  /** The claimed deliveries that wait for one of the `running` to end. */
  const queue: { delivery: Claimed; startBy: number }[] = []
  const running = new Set<Run>()
  const settling = new Set<Promise<void>>()
  /** The ids of all deliveries from their claim until their outcome is stored. */
  const held = new Set<number>()
  /** Whether the claimed delivery must run alone, so that a crash accuses no other. */
  let alone = false
  let waking = new AbortController()
  let looping: Promise<void> = Promise.resolve()
  const { platform, log } = o
  const upkeep = createUpkeep(query, { platform, leaseMs: LEASE_MS, held, log, woken: () => wake() }, runtime)
  const clock = createSteadyClock(runtime, ms => {
    if (ms < 0) upkeep.mend(-ms)
  })
  let wokenAt = Number.NEGATIVE_INFINITY
  let lookedAt: number | undefined
  /** When it was last read which deliveries are erased: of those in the queue, and of all in `held`. */
  let claimedAt = Number.NEGATIVE_INFINITY
  let erasedAskedAt = Number.NEGATIVE_INFINITY
  let asking = false
  const mostUnsettled = Math.max(isPostgres(query) ? UNSETTLED_AT_A_SERVER : UNSETTLED, o.concurrency)
  /** A delivery in `held` that is not queued runs, or its outcome waits to be stored. */
  const hasRoom = () => running.size < o.concurrency && held.size - queue.length < mostUnsettled

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      waking = new AbortController()
      stopLate()
      lookForParked()
      await lookForErased()
      // A failure of the store is reported where the store is needed.
      await settler.flush().catch(() => {})
      const found = await fill().catch(err => {
        o.log.error({ part: 'dispatcher', err }, 'cannot read the inbox; trying again')
        return undefined
      })
      if (found !== undefined) lookedAt = runtime.monotonic()
      await (found ? breathe() : sleep(POLL_MS))
    }
  }

  function lookForParked(): void {
    if (runtime.monotonic() - wokenAt < WAKE_EVERY_MS) return
    wokenAt = runtime.monotonic()
    upkeep.wake()
  }

  /** Claims the next batch once the last one has begun; resolves with how many rows it dealt with. */
  async function fill(): Promise<number> {
    startQueued()
    if (queue.length > 0 || running.size >= o.concurrency || (alone && running.size > 0)) return 0
    claimedAt = runtime.monotonic()
    const startBy = claimedAt + LEASE_MS - TIME_LIMIT_MS
    const ends = clock.leaseEnds(LEASE_MS)
    const result = await claim(query, {
      owner,
      platform: o.platform,
      // A claim has room for a new delivery and for a retry: with one place all the retries would go first.
      limit: Math.max(pace.batch(), 2),
      running: running.size,
      held: [...held],
      leaseMs: LEASE_MS,
      maxAttempts: MAX_ATTEMPTS,
      now: ends.now,
      ends,
      hasHandler: o.hasHandler,
    })
    tell.claimed(result)
    alone = result.alone
    for (const delivery of result.claimed) {
      held.add(delivery.id)
      queue.push({ delivery, startBy })
    }
    if (result.claimed.some(({ type }) => type === DELETION_REQUIRED)) await dropErased()
    startQueued()
    return result.claimed.length + result.duplicates.length + result.ignored.length + result.exhausted.length
  }

  const lookForErased = async () => runtime.monotonic() - erasedAskedAt < RUN_FRESH_MS || dropErased()

  /** Drops claimed deliveries whose event was erased since, here or in another process; false where that cannot be read. */
  async function dropErased(): Promise<boolean> {
    const askedAt = runtime.monotonic()
    const askedFor = [...queue, ...running].map(({ delivery }) => delivery)
    const erased = await erasedAmong(query, askedFor).catch(err => {
      o.log.error({ part: 'dispatcher', err }, 'cannot ask which deliveries are erased; trying again')
      return undefined
    })
    if (!erased) return false
    erasedAskedAt = askedAt
    for (const run of running) if (erased.has(run.delivery.id)) run.cutOff(new HandlerErased())
    const dropped = queue.filter(({ delivery }) => erased.has(delivery.id))
    for (const next of dropped) {
      queue.splice(queue.indexOf(next), 1)
      keep(settler.settle({ delivery: next.delivery, outcome: { state: 'ignored' } }), next.delivery)
    }
    return true
  }

  /** Starts queued deliveries. Nothing starts while it cannot be read which of them are erased. */
  function startQueued(): void {
    if (queue.length === 0 || !hasRoom()) return
    const isFresh = runtime.monotonic() - Math.max(claimedAt, erasedAskedAt) <= BEGIN_FRESH_MS
    if (isFresh) startFresh()
    else if (!asking) void askThenStart()
  }

  async function askThenStart(): Promise<void> {
    asking = true
    if (await dropErased()) startFresh()
    asking = false
    if (queue.length === 0) wake()
  }

  function startFresh(): void {
    while (hasRoom()) {
      const next = queue.shift()
      if (!next) break
      if (runtime.monotonic() > next.startBy || stopping.signal.aborted) giveBack(next.delivery)
      else run(next.delivery)
    }
  }

  function run(delivery: Claimed): void {
    const run = begin(delivery)
    running.add(run)
    const settled = run.ended.then(result => {
      running.delete(run)
      pace.finished()
      startQueued()
      if (queue.length === 0) wake()
      const { startedAt, calls } = run
      const endedAt = runtime.now()
      if (o.crashed?.aborted && result.outcome.state === 'released') return tell.accused(delivery)
      tell.ended(run, result, endedAt - startedAt)
      return settler.settle({ delivery, outcome: result.outcome, run: { startedAt, endedAt, calls } })
    })
    keep(settled, delivery)
  }

  const giveBack = (delivery: Claimed) =>
    keep(settler.settle({ delivery, outcome: { state: 'released' } }), delivery)

  function keep(settled: Promise<void>, delivery: Claimed): void {
    const kept = settled
      .catch(error => {
        tell.unsettled(delivery, error)
        // Upkeep does not mend the leases in `held`, so a clock that was set back meanwhile is mended now.
        upkeep.mend()
      })
      .finally(() => {
        held.delete(delivery.id)
        settling.delete(kept)
        startQueued()
      })
    settling.add(kept)
  }

  function stopLate(): void {
    const late = runtime.monotonic() - TIME_LIMIT_MS
    for (const run of running) if (run.since <= late) run.cutOff(new HandlerTimeout())
  }

  const wake = () => waking.abort(WOKEN)

  const sleep = (ms: number) => runtime.sleep(ms, waking.signal).catch(() => {})

  /** Gives others at least a turn of the event loop: a claim and short handlers may never wait for anything. */
  async function breathe(): Promise<void> {
    const ms = pace.pause()
    if (ms === 0) await new Promise<void>(resolve => setImmediate(resolve))
    else await runtime.sleep(ms, stopping.signal).catch(() => {})
  }

  /** Waits for all outcomes, with those of runs that end meanwhile. */
  async function allSettled(): Promise<void> {
    while (settling.size > 0) await Promise.allSettled(settling)
  }

  /** Runs that have not ended keep their lease: given back, a delivery could crash the next process too, uncounted. */
  async function endAfterCrash(graceMs: number): Promise<void> {
    await atMost(runtime, graceMs, allSettled())
    for (const run of running) tell.accused(run.delivery)
  }

  return {
    start() {
      lookedAt = runtime.monotonic()
      upkeep.mend()
      looping = loop()
    },
    arrived() {
      pace.arrived()
      wake()
    },
    resume: key => upkeep.wake(key && { event_id: key.eventId, organization_id: key.organizationId }),
    stalledMs: () => (lookedAt === undefined ? 0 : runtime.monotonic() - lookedAt),
    async stop(graceMs) {
      stopping.abort()
      wake()
      await Promise.all([looping, upkeep.stop()])
      for (const { delivery } of queue.splice(0)) giveBack(delivery)
      if (o.crashed?.aborted) return endAfterCrash(graceMs)
      for (const run of running) run.abort(new HandlerStopped())
      await atMost(runtime, graceMs, allSettled())
      for (const run of running) run.cutOff(new HandlerStopped())
      await atMost(runtime, graceMs, allSettled())
    },
  }
}
