import type { Settings } from '../integration/settings.ts'
import type { Log } from '../process/log.ts'

export interface ServiceContext {
  readonly settings: Settings
  readonly log: Log
}

/** What is made once at the start and handed to handlers, routes and jobs: a mail client, a queue, a pool. */
export interface Service<T> {
  /** Throws, and the app does not start. It has 10 s. */
  readonly start: (context: ServiceContext) => T | Promise<T>
  /** Runs at the stop, when nothing uses it any more. All of them together have 2 s. */
  readonly stop?: (service: T) => unknown
}

/** Only for its types: `stop` gets what `start` makes. */
export const service = <T>(it: Service<T>): Service<T> => it

/** What these services are once they have started. */
export type Started<S> = {
  readonly [Name in keyof S]: S[Name] extends { start: (context: never) => infer Made }
    ? Awaited<Made>
    : never
}
