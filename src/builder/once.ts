import { hash } from 'node:crypto'
import { sql } from 'kysely'
import { FixedTextError } from '../process/disclosure.ts'
import { HandlerMistake } from '../process/mistake.ts'
import type { Runtime } from '../process/runtime.ts'
import type { Call } from '../revento/request.ts'
import type { Queries } from '../storage/database.ts'
import { isErased } from '../storage/erasures.ts'
import type { Platform } from '../storage/schema.ts'
import { eventLock, lockShared, transaction } from '../storage/sql.ts'
import { refuseInTransaction } from './db.ts'

export interface Effect {
  /**
   * The same in every run of this delivery, and of no other: pass it on, where the service outside takes one. It is for
   * the moment between the end of the effect and our commit, after which a crash has the effect run again.
   */
  readonly idempotencyKey: string
  /** The signal of the run. */
  readonly signal: AbortSignal
}

/**
 * Runs the effect and stores what it gives (JSON, at most 64 KB) with the delivery. A later run of the delivery gets that
 * instead, and the effect does not run. An effect that throws is not finished: it runs again with the next run.
 */
export type Once = <T>(name: string, effect: (to: Effect) => Promise<T>) => Promise<T>

export interface RunningDelivery {
  readonly id: number
  readonly provider: string
  readonly platform: Platform
  readonly envelopeId: string
  readonly eventId: string | null
  readonly attempt: number
  /** The owner of the lease. */
  readonly owner: string
}

export interface OnceOptions {
  readonly signal: AbortSignal
  /** Is called with each step that has ended, for the delivery's story. */
  readonly note: (step: Call) => void
}

const MOST_BYTES = 64 * 1024
const NAME = /^[!-~](?:[ -~]{0,98}[!-~])?$/

/** Thrown when the run has lost its lease, or its event was erased: another process may have the delivery. */
class RunIsOver extends FixedTextError {
  override readonly name = 'RunIsOver'
}

export function createOnce(
  query: Queries,
  delivery: RunningDelivery,
  o: OnceOptions,
  runtime: Runtime,
): Once {
  const used = new Set<string>()

  return async (name, effect) => {
    refuseName(name, used)
    refuseInTransaction()
    used.add(name)
    o.signal.throwIfAborted()
    const startedAt = runtime.now()
    const since = runtime.monotonic()
    const took = () => Math.round(runtime.monotonic() - since)
    const noted = (result: string) => o.note({ at: startedAt, ms: took(), what: `once ${name}`, result })
    const { kept, fresh } = await keptOf(query, delivery, name)
    if (kept) {
      noted(`kept from run ${kept.attempt}`)
      return parsed(kept.result)
    }
    try {
      const given = await effect({ idempotencyKey: keyOf(delivery, name, fresh), signal: o.signal })
      const result = jsonOf(given)
      await keep(query, delivery, { name, started_at: startedAt, ended_at: startedAt + took(), result })
      noted('done')
      // The result goes through JSON here too, so that the first run gets the same value as a later one.
      return parsed(result)
    } catch (error) {
      noted('failed')
      throw error
    }
  }
}

function refuseName(name: string, used: ReadonlySet<string>): void {
  if (typeof name !== 'string' || !NAME.test(name))
    throw new HandlerMistake(
      'once() takes a name of 1 to 100 visible ASCII characters, such as once("welcome mail", …)',
    )
  if (used.has(name))
    throw new HandlerMistake(
      'once() was given the same name twice in one run: the second would get what the first brought',
    )
}

/** The row's id is not part of the key: another database gives it to another delivery. */
const keyOf = ({ platform, provider, envelopeId }: RunningDelivery, name: string, fresh: number) =>
  hash(
    'sha256',
    JSON.stringify([platform, provider, envelopeId, name, ...(fresh > 0 ? [fresh] : [])]),
    'base64url',
  ).slice(0, 32)

function jsonOf(given: unknown): string | null {
  if (given === undefined) return null
  const json = toJson(given)
  if (json === undefined)
    throw new HandlerMistake('an effect of once() gave what is no JSON: give the id that you need')
  if (Buffer.byteLength(json) > MOST_BYTES)
    throw new HandlerMistake('an effect of once() gave more than 64 KB of JSON: give the id that you need')
  return json
}

function toJson(given: unknown): string | undefined {
  try {
    return JSON.stringify(given)
  } catch {
    return undefined
  }
}

/** The text was made from what the effect gave, so it has that type. */
const parsed = <T>(result: string | null) => (result === null ? undefined : JSON.parse(result)) as T

const hasLease = ({ id, owner, attempt }: RunningDelivery) =>
  sql<boolean>`inbox.id = ${id} and inbox.state = 'running' and inbox.lease_owner = ${owner} and inbox.attempts = ${attempt}`

/**
 * Finds a stored result. Throws RunIsOver where the lease is lost, so that such a run begins no effect. `fresh` counts how
 * often the operator had the delivery's effects run anew: each time they get other keys.
 */
async function keptOf(query: Queries, delivery: RunningDelivery, name: string) {
  const row = await query
    .selectFrom('inbox')
    .leftJoin('effects', join =>
      join.onRef('effects.inbox_id', '=', 'inbox.id').on('effects.name', '=', name),
    )
    .select(['effects.attempt', 'effects.result'])
    .select(eb =>
      eb
        .selectFrom('reruns')
        .select(sql<number>`count(*)`.as('n'))
        .whereRef('reruns.inbox_id', '=', 'inbox.id')
        .where('anew', '=', 1)
        .as('fresh'),
    )
    .where(hasLease(delivery))
    .where(eb => eb.not(isErased))
    .executeTakeFirst()
  if (!row) throw new RunIsOver('the run was over before its effect began: another one goes on')
  const kept = row.attempt === null ? undefined : { attempt: row.attempt, result: row.result }
  return { kept, fresh: Number(row.fresh) }
}

interface Finished {
  readonly name: string
  readonly started_at: number
  readonly ended_at: number
  readonly result: string | null
}

/** Stores a result, fenced: an effect that ends after its lease, or after the erasure of its event, stores nothing. */
const keep = (query: Queries, delivery: RunningDelivery, { name, started_at, ended_at, result }: Finished) =>
  transaction(query, async trx => {
    if (delivery.eventId !== null) await lockShared(trx, [eventLock(delivery.eventId)])
    const { numAffectedRows } =
      await sql`insert into effects (inbox_id, name, attempt, started_at, ended_at, result)
      select inbox.id, cast(${name} as text), inbox.attempts, cast(${started_at} as bigint), cast(${ended_at} as bigint),
        cast(${result} as text)
      from inbox where ${hasLease(delivery)} and not ${isErased}
      on conflict do nothing`.execute(trx)
    if (numAffectedRows !== 1n)
      throw new RunIsOver(
        'the run was over before the end of its effect could be stored: another one may repeat it',
      )
  })
