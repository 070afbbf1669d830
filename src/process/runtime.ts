import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

/** Time and randomness as an argument: code in src/ never reads them from a global, so that tests control both. */
export interface Runtime {
  /** Milliseconds since 1970; the clock may be set back. */
  now(): number
  /** Milliseconds since an arbitrary moment, for measuring durations. */
  monotonic(): number
  /** For how many ms this process has had nothing to do, since an arbitrary moment. */
  idle(): number
  /** By how many ms the event loop is late, now or a moment ago. */
  late(): number
  /** Settles after `ms`; rejects with an AbortError when the signal fires first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  bytes(size: number): Buffer
  uuid(): string
}

const LOOK_EVERY_MS = 250
/** Node fires a longer timer at once. A longer sleep ends early, so callers look at the clock again. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** Measures how late a timer fires: requests that wait in sockets have waited as long. */
function watchLateness(): () => number {
  let due = performance.now() + LOOK_EVERY_MS
  let last = 0
  const look = () => {
    last = performance.now() - due
    due = performance.now() + LOOK_EVERY_MS
  }
  setInterval(look, LOOK_EVERY_MS).unref()
  return () => Math.max(last, performance.now() - due)
}

/** The measuring begins with the first call: no request waits in a socket while the process starts. */
let lateness: (() => number) | undefined
function late(): number {
  lateness ??= watchLateness()
  return lateness()
}

export const systemRuntime: Runtime = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  idle: () => performance.eventLoopUtilization().idle,
  late,
  sleep: (ms, signal) => delay(Math.min(ms, LONGEST_TIMER_MS), undefined, signal ? { signal } : {}),
  bytes: size => randomBytes(size),
  uuid: () => randomUUID(),
}

/** Waits at most `ms` for `work` to settle, and leaves no timer behind. */
export async function atMost(
  runtime: Pick<Runtime, 'sleep'>,
  ms: number,
  work: Promise<unknown>,
): Promise<void> {
  const settled = new AbortController()
  const done = work.catch(() => {}).then(() => settled.abort())
  await Promise.race([done, runtime.sleep(ms, settled.signal).catch(() => {})])
}

/** Rejects with the signal's reason when it fires. A signal that has fired before sends no event, so it is read first. */
export const whenAborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_resolve, reject) => {
    if (signal.aborted) reject(signal.reason)
    else signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
