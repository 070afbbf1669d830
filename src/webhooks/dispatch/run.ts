import { FixedTextError } from '../../process/disclosure.ts'
import type { DescribeError } from '../../process/errors.ts'
import { HandlerMistake } from '../../process/mistake.ts'
import type { Runtime } from '../../process/runtime.ts'
import { type Span, traceId, within } from '../../process/tracing.ts'
import { ApiError, RefreshPending } from '../../revento/api.ts'
import type { Call } from '../../revento/request.ts'
import type { Claimed } from '../inbox/claim.ts'
import type { Outcome } from '../inbox/outcomes.ts'
import { endRun } from '../spans.ts'
import { ErasureGoesOn } from './owed.ts'

/** Runs the handler of a claimed delivery; rejects when it fails, and gives `ignored` without one. `note` gets its calls. */
export type RunHandler = (
  delivery: Claimed,
  signal: AbortSignal,
  note: (call: Call) => void,
) => Promise<unknown>

export interface AttemptOptions {
  readonly run: RunHandler
  /** Whether the delivery waits for a reconnect because of this error, and its handler does not count as failed. */
  readonly isParking: (error: unknown) => boolean
  readonly describeError: Pick<DescribeError, 'text'>
  /** Begins the span of a run where spans are recorded. */
  readonly beginSpan?: (delivery: Claimed) => Span | undefined
}

/** A run under way. Its signal first asks the handler to stop; cut off, the run ends whether it listened or not. */
export interface Run {
  readonly delivery: Claimed
  /** In ms since 1970; `since` on the monotonic clock. */
  readonly startedAt: number
  readonly since: number
  readonly calls: Call[]
  readonly traceId: string | undefined
  abort(reason: Error): void
  cutOff(reason: Error): void
  readonly ended: Promise<{ outcome: Outcome; err?: unknown }>
}

/** Less than the lease, so that a run that is cut off here still settles its own delivery. */
export const TIME_LIMIT_MS = 20_000
/** No call begins later: it would often be cut off, and its run would count. */
export const CALLS_WITHIN_MS = 18_000
export const MAX_ATTEMPTS = 8
const LEAST_WAIT_MS = 1_000
/** No window of the limits is longer; after it the budget is read again. */
const LONGEST_WAIT_MS = 3_600_000
/** Only the first calls are stored, so that a handler that pages through thousands of people does not fill the table. */
const KEPT_CALLS = 50

/** 2 s, 8 s, 32 s … 2.3 h, each ± 25 %: the eighth failure comes about three hours after the first. */
export const retryDelayMs = (attempt: number, random: number) =>
  Math.round(2_000 * 4 ** (attempt - 1) * (0.75 + random / 2))

export function createAttempt(o: AttemptOptions, stopping: AbortSignal, runtime: Runtime) {
  return (delivery: Claimed): Run => {
    const calls: Call[] = []
    const aborting = new AbortController()
    const cut = Promise.withResolvers<never>()
    const note = (call: Call) => void (calls.length < KEPT_CALLS && calls.push(call))
    const span = o.beginSpan?.(delivery)
    // The clocks are read before the handler begins, which may work a while before it first waits.
    const began = { startedAt: runtime.now(), since: runtime.monotonic() }
    const outcomeOf = async (): Promise<Awaited<Run['ended']>> => {
      if (delivery.body === null) return { outcome: { state: 'ignored' } }
      try {
        const run = within(span, () => o.run(delivery, aborting.signal, note))
        const state = await Promise.race([run, cut.promise])
        return { outcome: { state: state === 'ignored' ? state : 'done' } }
      } catch (err) {
        return { outcome: judge(delivery, err), err }
      }
    }
    const ended = outcomeOf()
    if (span) void ended.then(result => endRun(span, result))
    return {
      delivery,
      traceId: span && traceId(span),
      ...began,
      calls,
      abort: reason => aborting.abort(reason),
      cutOff(reason) {
        aborting.abort(reason)
        cut.promise.catch(() => {})
        cut.reject(reason)
      },
      ended,
    }
  }

  function judge({ attempt }: Claimed, error: unknown): Outcome {
    if (stopping.aborted) return { state: 'released' }
    if (error instanceof HandlerErased) return { state: 'ignored' }
    const text = o.describeError.text(error)
    if (error instanceof ErasureGoesOn) return { state: 'postponed', error: text, delayMs: 0 }
    if (o.isParking(error)) return { state: 'parked', error: text }
    const waitMs = mustWait(error)
    if (waitMs !== undefined) return { state: 'postponed', error: text, delayMs: waitMs }
    if (attempt >= MAX_ATTEMPTS || isHopeless(error)) return { state: 'dead', error: text }
    const random = (runtime.bytes(1)[0] ?? 0) / 256
    return { state: 'retry', error: text, delayMs: Math.max(retryDelayMs(attempt, random), askedMs(error)) }
  }
}

/** The handler used up its time; the delivery runs again, as after any failure. */
export class HandlerTimeout extends FixedTextError {
  override readonly name = 'HandlerTimeout'
}
/** The event was erased during the run. */
export class HandlerErased extends FixedTextError {
  override readonly name = 'HandlerErased'
}
/** The process stops; the delivery is given back and runs again elsewhere or later. */
export class HandlerStopped extends FixedTextError {
  override readonly name = 'HandlerStopped'
}

/** The limits are used up, or a refresh waits for its next try: the handler did not fail, and a new run would not help. */
const mustWait = (error: unknown) =>
  error instanceof RefreshPending ||
  (error instanceof ApiError && ['rate_budget_used', 'rate_limit_exceeded'].includes(error.code))
    ? Math.min(Math.max(error.retryAfterMs ?? 0, LEAST_WAIT_MS), LONGEST_WAIT_MS)
    : undefined

/** Every run would fail at the same place; with `too_many_calls` it would use up the connection's calls too. */
const isHopeless = (error: unknown) =>
  error instanceof HandlerMistake || (error instanceof ApiError && error.code === 'too_many_calls')

/** Revento's Retry-After, where the handler let the error pass: an earlier run would only fail again. */
const askedMs = (error: unknown) => (error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0)
