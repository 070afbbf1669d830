import type { KeyState } from '../keys/verdict.ts'
import type { TokenOutcome } from '../revento/token-outcome.ts'

/** How a run of a handler ended. */
export type RunOutcome = 'done' | 'ignored' | 'parked' | 'dead' | 'retry' | 'postponed' | 'released'

/**
 * What the parts of the app count. Every label comes from a closed list: an id, a path or a text of somebody else would
 * make a new series each time. Called on the way to a webhook's 200, so nothing here waits or allocates much.
 */
export interface Metrics {
  /** A webhook was answered. `outcome`: accepted, denied (by a handler), or the refusal's code. */
  delivery(provider: string, outcome: string, seconds: number): void
  /** A delivery was committed, so long after it was verified. */
  committed(seconds: number): void
  /** A handler's run ended. */
  attempt(provider: string, outcome: RunOutcome): void
  /** A run of one of the builder's jobs ended. */
  job(name: string, outcome: 'done' | 'failed' | 'missed'): void
  refresh(outcome: TokenOutcome['kind']): void
  /** `code`: Revento's status, or our own word for why there was no answer. */
  apiRequest(code: string): void
  /** Read at each scrape. */
  watchInbox(inbox: InboxGauges): void
  /** Read at each scrape. */
  watchKeys(states: () => Promise<readonly KeyState[]>): void
}

export interface InboxGauges {
  backlog(): number
  oldestSeconds(): Promise<number>
}

const nothing = () => {}

export const noMetrics: Metrics = {
  delivery: nothing,
  committed: nothing,
  attempt: nothing,
  job: nothing,
  refresh: nothing,
  apiRequest: nothing,
  watchInbox: nothing,
  watchKeys: nothing,
}
