import type { Log } from '../log.ts'
import { atMost, type Runtime } from '../runtime.ts'
import type { Queries } from '../storage/database.ts'
import {
  type AttemptOptions,
  createAttempt,
  cutOff,
  HandlerStopped,
  MAX_ATTEMPTS,
  type Run,
} from './attempt.ts'
import { type Claimed, claim } from './claim.ts'
import { createSettler } from './settle.ts'

export interface DispatcherOptions extends AttemptOptions {
  readonly concurrency: number
  readonly hasHandler: (provider: string, type: string) => boolean
  /** For the log: where the organizer of a parked delivery's event connects again. */
  readonly parkedAt: (delivery: Claimed) => { connect_url: string | undefined }
  readonly log: Log
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

const LEASE_MS = 30_000
const POLL_MS = 1_000

export function createDispatcher(query: Queries, o: DispatcherOptions, runtime: Runtime): Dispatcher {
  const owner = runtime.uuid()
  const settler = createSettler(query, owner, runtime)
  const stopping = new AbortController()
  const attempt = createAttempt(o, stopping.signal, runtime)
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
    for (const id of ignored)
      o.log.info({ part: 'dispatcher', delivery: id, outcome: 'ignored' }, 'delivery stored, nothing to run')
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
      ...(outcome.state === 'retry' ? { err, retry_in_ms: outcome.delayMs } : {}),
      ...(outcome.state === 'dead' ? { err } : {}),
      ...(outcome.state === 'parked' ? o.parkedAt(delivery) : {}),
    }
    if (outcome.state === 'dead') o.log.error(fields, 'delivery given up')
    else if (outcome.state === 'parked') o.log.warn(fields, 'delivery parked: send the link to the organizer')
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
      for (const run of running.keys()) cutOff(run, new HandlerStopped())
      await atMost(runtime, graceMs, all)
    },
  }
}
