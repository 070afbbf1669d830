import { ApiError } from '../revento/api-error.ts'
import type { Runtime } from '../runtime.ts'
import type { Claimed } from './claim.ts'
import type { Outcome } from './settle.ts'

/** Runs the handler of one claimed delivery; rejects when it failed. */
export type RunHandler = (delivery: Claimed, signal: AbortSignal) => Promise<void>

export interface AttemptOptions {
  readonly run: RunHandler
  /** A handler that throws this waits for the organizer to connect again, and is not counted as failed. */
  readonly isParking: (error: unknown) => boolean
}

/** A handler is first told to stop; being cut off ends its run whether it listened or not. */
export interface Run {
  readonly tell: AbortController
  readonly cut: AbortController
}

/** Below the lease, so a run that is cut off here still settles its own delivery. */
export const TIME_LIMIT_MS = 20_000
export const MAX_ATTEMPTS = 8

/** 2 s, 8 s, 32 s … 2.3 h, each ± 25 %: the eighth failure comes about three hours after the first. */
export const retryDelayMs = (attempt: number, random: number) =>
  Math.round(2_000 * 4 ** (attempt - 1) * (0.75 + random / 2))

/** One run of a handler, from its start to what becomes of the delivery. */
export function createAttempt(o: AttemptOptions, stopping: AbortSignal, runtime: Runtime) {
  return async (delivery: Claimed, run: Run): Promise<{ outcome: Outcome; err?: unknown }> => {
    if (delivery.body === null) return { outcome: { state: 'ignored' } }
    const ended = new AbortController()
    runtime.sleep(TIME_LIMIT_MS, ended.signal).then(
      () => cutOff(run, new HandlerTimeout()),
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
    if (stopping.aborted) return { state: 'released' }
    const text = errorText(error)
    if (o.isParking(error)) return { state: 'parked', error: text }
    if (attempt >= MAX_ATTEMPTS) return { state: 'dead', error: text }
    const random = (runtime.bytes(1)[0] ?? 0) / 256
    return { state: 'retry', error: text, delayMs: Math.max(retryDelayMs(attempt, random), askedMs(error)) }
  }
}

export function cutOff({ tell, cut }: Run, reason: Error): void {
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
export class HandlerStopped extends Error {
  override readonly name = 'HandlerStopped'
}

/** Revento's Retry-After, where the handler let its error pass: sooner would only cost an attempt. */
const askedMs = (error: unknown) => (error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0)

/** Short enough for a list; the log has the stack. */
function errorText(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}`.slice(0, 200) : 'error'
}
