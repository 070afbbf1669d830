import type { Runtime } from '../process/runtime.ts'
import type { State } from './state.ts'

const MOST_MS = 10 * 365 * 86_400_000

export type Clock = ReturnType<typeof createClock>

/** The clock of the pretend Revento, for codes, tokens and consents; webhooks and rate limits keep the machine's time. */
export function createClock(state: State, runtime: Runtime) {
  /** How far this clock is ahead of the machine's, in milliseconds. */
  const offset = () => state.clock_offset_ms ?? 0
  return {
    offset,
    now: () => runtime.now() + offset(),
    bytes: (size: number) => runtime.bytes(size),
    /** Moves it forward; false where it would be more than ten years ahead. */
    advance(ms: number): boolean {
      if (offset() + ms > MOST_MS) return false
      state.clock_offset_ms = offset() + ms
      return true
    },
    /** Returns to the machine's time. Tokens keep the life that they have left, and expired ones stay expired. */
    reset(): void {
      redate(state, -offset())
      state.clock_offset_ms = 0
    },
  }
}

/** Moves all dates: without this a token issued a year ahead would live a year and an hour after the reset. */
function redate({ codes, installations, access_tokens, refresh_tokens }: State, ms: number): void {
  for (const code of Object.values(codes)) code.issued_at += ms
  for (const installation of Object.values(installations)) installation.consented_at += ms
  for (const token of [...Object.values(access_tokens), ...Object.values(refresh_tokens)])
    token.expires_at += ms
}
