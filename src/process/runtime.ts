import { randomBytes, randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'

/** Time and randomness as an argument: code in src/ never reads them from a global, so tests can own both. */
export interface Runtime {
  /** Milliseconds since 1970; may be set back. */
  now(): number
  /** Milliseconds since some moment; for how long something takes. */
  monotonic(): number
  /** How long, in ms since some moment, this process had nothing to do. */
  idle(): number
  /** How late, in ms, the event loop comes round, now or a moment ago. */
  late(): number
  /** Settles after `ms`; rejects with an AbortError when the signal fires first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  bytes(size: number): Buffer
  uuid(): string
}

const LOOK_EVERY_MS = 250
/** Node fires a longer timer at once; whoever sleeps longer is woken early, and looks again. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** A timer that looks how late it is; what waits in sockets has waited as long. */
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

export const systemRuntime: Runtime = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  idle: () => performance.eventLoopUtilization().idle,
  late: watchLateness(),
  sleep: (ms, signal) => delay(Math.min(ms, LONGEST_TIMER_MS), undefined, signal ? { signal } : {}),
  bytes: size => randomBytes(size),
  uuid: () => randomUUID(),
}

/** Waits for `work` to settle, but at most `ms`; leaves no timer behind. */
export async function atMost(
  runtime: Pick<Runtime, 'sleep'>,
  ms: number,
  work: Promise<unknown>,
): Promise<void> {
  const settled = new AbortController()
  const done = work.catch(() => {}).then(() => settled.abort())
  await Promise.race([done, runtime.sleep(ms, settled.signal).catch(() => {})])
}
