import type { FastifyReply, FastifyRequest } from 'fastify'
import type { KeyState } from '../keys/verdict.ts'
import type { Runtime } from '../process/runtime.ts'
import type { TokenOutcome } from '../revento/token-outcome.ts'

export type RunOutcome = 'done' | 'ignored' | 'parked' | 'dead' | 'retry' | 'postponed' | 'released'

/**
 * The counters that the rooms call. Every label comes from a closed list, because an id, a path or a text from outside
 * would make a new series each time. They run before a webhook's 200, so none of them waits or allocates much.
 */
export interface Metrics {
  /** A webhook was answered. `outcome` is accepted, denied (by a handler), or the code of the refusal. */
  delivery(provider: string, outcome: string, seconds: number): void
  /** A delivery was committed, this long after it was verified. */
  committed(seconds: number): void
  /** A run of a handler ended. `since` is when its delivery came, or was replayed, in ms since 1970. */
  run(provider: string, outcome: RunOutcome, since?: number): void
  /** So many deliveries came to an end without a run: a repeat, no handler, too many crashes. */
  resolved(outcome: 'duplicate' | 'ignored' | 'dead', n: number): void
  /** A run of one of the builder's jobs ended. */
  job(name: string, outcome: 'done' | 'failed' | 'missed'): void
  /** A comparison of stored participants with Revento's list ended. */
  sync(outcome: 'done' | 'failed' | 'stopped'): void
  refresh(outcome: TokenOutcome['kind']): void
  /** Revento's API was called. `code` is Revento's status, or our code where no answer came. */
  apiRequest(code: string): void
  /** The gauges of the inbox are read at each scrape. */
  watchInbox(inbox: InboxGauges): void
  /** The state of each key is read at each scrape. */
  watchKeys(states: () => Promise<readonly KeyState[]>): void
}

interface InboxGauges {
  backlog(): number
  oldestSeconds(): Promise<number>
}

const nothing = () => {}

export const noMetrics: Metrics = {
  delivery: nothing,
  committed: nothing,
  run: nothing,
  resolved: nothing,
  job: nothing,
  sync: nothing,
  refresh: nothing,
  apiRequest: nothing,
  watchInbox: nothing,
  watchKeys: nothing,
}

/** Counts the answers of a webhook's route under the provider's name: many spellings of a path lead to one route. */
export const countDeliveries =
  (metrics: Metrics, provider: string) =>
  ({ outcome }: FastifyRequest, { statusCode, elapsedTime }: FastifyReply, done: () => void): void => {
    const code = outcome?.['error'] ?? outcome?.['reason'] ?? (statusCode < 400 ? 'accepted' : 'denied')
    metrics.delivery(provider, String(code), elapsedTime / 1000)
    done()
  }

interface Appending<D> {
  append(delivery: D): Promise<number>
}

export const timeCommits = <D, Inbox extends Appending<D>>(
  inbox: Inbox & Appending<D>,
  metrics: Metrics,
  runtime: Pick<Runtime, 'monotonic'>,
): Inbox => ({
  ...inbox,
  append(delivery: D) {
    const begun = runtime.monotonic()
    const committed = inbox.append(delivery)
    void committed.then(
      () => metrics.committed((runtime.monotonic() - begun) / 1000),
      () => {},
    )
    return committed
  },
})
