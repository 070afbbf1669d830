import { atMost, type Runtime } from '../runtime.ts'
import type { Queries } from '../storage/database.ts'
import { type Claimed, claim } from './claim.ts'
import { createSettler, type Outcome } from './settle.ts'

/** Runs the handler of one claimed delivery; rejects when it failed. */
export type RunHandler = (delivery: Claimed, signal: AbortSignal) => Promise<void>

/** A handler that throws this waits for the organizer to connect again, and is not counted as failed. */
export type IsParking = (error: unknown) => boolean

export interface DispatcherOptions {
  readonly concurrency: number
  readonly hasHandler: (provider: string, type: string) => boolean
  readonly run: RunHandler
  readonly isParking: IsParking
  readonly log: DispatcherLog
}

export interface DispatcherLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

export interface Dispatcher {
  start(): void
  /** Something may be due: look now instead of at the next poll. */
  wake(): void
  /** After a reconnect: the event's parked deliveries are due again. */
  resume(eventId: string): Promise<number>
  /** Claims nothing more, tells handlers to stop, and gives back what has not ended after `graceMs`. */
  stop(graceMs: number): Promise<void>
}

/** A handler is first told to stop; being cut off ends its run whether it listened or not. */
interface Run {
  readonly tell: AbortController
  readonly cut: AbortController
}

const LEASE_MS = 30_000
/** Below the lease, so a run that is cut off here still settles its own delivery. */
export const TIME_LIMIT_MS = 20_000
const POLL_MS = 1_000
const MAX_ATTEMPTS = 8

/** 2 s, 8 s, 32 s … 2.3 h, each ± 25 %: the eighth failure comes about three hours after the first. */
export const retryDelayMs = (attempt: number, random: number) =>
  Math.round(2_000 * 4 ** (attempt - 1) * (0.75 + random / 2))

export function createDispatcher(query: Queries, o: DispatcherOptions, runtime: Runtime): Dispatcher {
  const owner = runtime.uuid()
  const settler = createSettler(query, owner, runtime)
  const stopping = new AbortController()
  const running = new Map<Run, Promise<void>>()
  let wakeUp: () => void = () => {}
  let woken = false
  let looping: Promise<void> = Promise.resolve()

  async function loop(): Promise<void> {
    while (!stopping.signal.aborted) {
      woken = false
      const found = await fill().catch(error => {
        o.log.error({ part: 'dispatcher', err: error }, 'cannot read the inbox; trying again')
        return 0
      })
      if (found === 0 || running.size >= o.concurrency) await pause()
    }
  }

  /** Takes as much as there is room for; says how many rows it dealt with. */
  async function fill(): Promise<number> {
    const room = o.concurrency - running.size
    if (room <= 0) return 0
    const { claimed, duplicates, ignored, exhausted } = await claim(query, {
      owner,
      limit: room,
      leaseMs: LEASE_MS,
      maxAttempts: MAX_ATTEMPTS,
      now: runtime.now(),
      hasHandler: o.hasHandler,
    })
    for (const d of duplicates) {
      const fields = { part: 'dispatcher', delivery: d.id, duplicate_of: d.duplicateOf }
      if (d.sameEnvelope) o.log.info(fields, 'duplicate delivery')
      else o.log.warn(fields, 'delivery id was used before with another body: the first one stands')
    }
    for (const id of exhausted)
      o.log.error(
        { part: 'dispatcher', delivery: id, outcome: 'dead' },
        'delivery given up: no run of it ended',
      )
    for (const delivery of claimed) {
      const run = { tell: new AbortController(), cut: new AbortController() }
      const ended = handle(delivery, run).finally(() => {
        running.delete(run)
        wake()
      })
      running.set(run, ended)
    }
    return claimed.length + duplicates.length + ignored.length + exhausted.length
  }

  function wake(): void {
    woken = true
    wakeUp()
  }

  async function pause(): Promise<void> {
    if (woken) return
    const waking = new AbortController()
    wakeUp = () => waking.abort()
    await runtime.sleep(POLL_MS, AbortSignal.any([waking.signal, stopping.signal])).catch(() => {})
    wakeUp = () => {}
  }

  async function handle(delivery: Claimed, run: Run): Promise<void> {
    const startedAt = runtime.now()
    const { outcome, err } = await attempt(delivery, run)
    const fields = {
      part: 'dispatcher',
      delivery: delivery.id,
      provider: delivery.provider,
      type: delivery.type,
      attempt: delivery.attempt,
      outcome: outcome.state,
      ms: runtime.now() - startedAt,
      ...('error' in outcome ? { err } : {}),
    }
    if (outcome.state === 'dead') o.log.error(fields, 'delivery given up')
    else if ('error' in outcome) o.log.warn(fields, 'delivery not handled yet')
    else o.log.info(fields, 'delivery handled')
    await settler
      .settle({ id: delivery.id, type: delivery.type, attempt: delivery.attempt, outcome })
      .catch(error => {
        o.log.error(
          { ...fields, err: error },
          'cannot store the outcome; the delivery runs again after its lease',
        )
      })
  }

  async function attempt(delivery: Claimed, run: Run): Promise<{ outcome: Outcome; err?: unknown }> {
    if (delivery.body === null) return { outcome: { state: 'ignored' } }
    const ended = new AbortController()
    runtime.sleep(TIME_LIMIT_MS, ended.signal).then(
      () => end(run, new HandlerTimeout()),
      () => {},
    )
    try {
      await Promise.race([o.run(delivery, run.tell.signal), aborted(run.cut.signal)])
      return { outcome: { state: 'done' } }
    } catch (err) {
      return { outcome: judge(delivery, err), err }
    } finally {
      ended.abort()
    }
  }

  function judge({ attempt }: Claimed, error: unknown): Outcome {
    if (stopping.signal.aborted) return { state: 'released' }
    const text = errorText(error)
    if (o.isParking(error)) return { state: 'parked', error: text }
    if (attempt >= MAX_ATTEMPTS) return { state: 'dead', error: text }
    const random = (runtime.bytes(1)[0] ?? 0) / 256
    return { state: 'retry', error: text, delayMs: retryDelayMs(attempt, random) }
  }

  return {
    start() {
      looping = loop()
    },
    wake,
    async resume(eventId) {
      const { numUpdatedRows } = await query
        .updateTable('inbox')
        .set({ state: 'pending', next_at: runtime.now() })
        .where('state', '=', 'parked')
        .where('event_id', '=', eventId)
        .executeTakeFirst()
      if (numUpdatedRows > 0n) wake()
      return Number(numUpdatedRows)
    },
    async stop(graceMs) {
      stopping.abort()
      await looping
      for (const run of running.keys()) run.tell.abort(new HandlerStopped())
      const all = Promise.allSettled(running.values())
      await atMost(runtime, graceMs, all)
      for (const run of running.keys()) end(run, new HandlerStopped())
      await all
    },
  }
}

function end({ tell, cut }: Run, reason: Error): void {
  tell.abort(reason)
  cut.abort(reason)
}

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })

/** The handler used up its time; it is asked again like after any failure. */
class HandlerTimeout extends Error {
  override readonly name = 'HandlerTimeout'
}
/** The process stops; the delivery is given back and runs again elsewhere or later. */
class HandlerStopped extends Error {
  override readonly name = 'HandlerStopped'
}

/** Short enough for a list; the log has the stack. */
function errorText(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 200) : 'error'
}
