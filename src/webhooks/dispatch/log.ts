import type { Log } from '../../process/log.ts'
import type { Claimed, ClaimResult } from '../inbox/claim.ts'
import type { Outcome } from '../inbox/outcomes.ts'
import type { Run } from './run.ts'

export interface DispatchLogOptions {
  readonly log: Log
  /** The link by which the organizer of a parked delivery's event connects again. */
  readonly parkedAt: (delivery: Claimed) => { connect_url: string | undefined }
  /** Counts runs that ended, and deliveries that ended without one. */
  readonly count?: (provider: string, outcome: Outcome['state'], since: number) => void
  readonly resolved?: (outcome: 'duplicate' | 'ignored' | 'dead', n: number) => void
}

const WORDS = {
  done: 'delivery handled',
  ignored: 'delivery stored, nothing to run',
  released: 'delivery given back: the process stops',
}

/** Writes the log about each delivery after its 200; every line has the delivery's id as `delivery`. */
export function createDispatchLog({ log, parkedAt, count, resolved }: DispatchLogOptions) {
  const part = 'dispatcher'
  return {
    claimed({ duplicates, ignored, interrupted, exhausted }: ClaimResult): void {
      resolved?.('duplicate', duplicates.length)
      resolved?.('ignored', ignored.length)
      resolved?.('dead', exhausted.length)
      for (const { id, duplicateOf, sameEnvelope } of duplicates) {
        const fields = { part, delivery: id, duplicate_of: duplicateOf }
        if (sameEnvelope) log.info(fields, 'duplicate delivery')
        else log.warn(fields, 'delivery id was used before with another body: the first one stands')
      }
      for (const delivery of ignored)
        log.info({ part, delivery, outcome: 'ignored' }, 'delivery stored, nothing to run')
      for (const delivery of interrupted)
        log.warn({ part, delivery, outcome: 'interrupted' }, 'the process that handled this delivery ended')
      for (const delivery of exhausted)
        log.error(
          { part, delivery, outcome: 'dead' },
          'delivery given up: its process ended before its last run did',
        )
    },

    ended(
      { delivery, traceId }: Run,
      { outcome, err }: { outcome: Outcome; err?: unknown },
      ms: number,
    ): void {
      const { id, provider, type, attempt } = delivery
      count?.(provider, outcome.state, delivery.since)
      const about = { part, delivery: id, provider, type, attempt, trace_id: traceId }
      const fields = { ...about, outcome: outcome.state, ms }
      if (outcome.state === 'dead') log.error({ ...fields, err }, 'delivery given up')
      else if (outcome.state === 'retry')
        log.warn({ ...fields, err, retry_in_ms: outcome.delayMs }, 'delivery not handled yet')
      else if (outcome.state === 'postponed')
        log.info(
          { ...fields, err, retry_in_ms: outcome.delayMs },
          'delivery put back: it has to wait to call Revento',
        )
      else if (outcome.state === 'parked')
        log.warn(
          { ...fields, err, ...parkedAt(delivery) },
          'delivery parked until its connection can be used again',
        )
      else log.info(fields, WORDS[outcome.state])
    },

    accused({ id, provider, type, attempt }: Claimed): void {
      const fields = { part, delivery: id, provider, type, attempt, outcome: 'interrupted' }
      log.warn(fields, 'delivery was running when an error that nobody caught ended the process')
    },

    unsettled({ id, type, attempt }: Claimed, err: unknown): void {
      const fields = { part, delivery: id, type, attempt, err }
      log.error(fields, 'cannot store the outcome; the delivery runs again after its lease')
    },
  }
}
