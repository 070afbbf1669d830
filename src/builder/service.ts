import type { Settings } from '../integration/settings.ts'
import type { Log } from '../process/log.ts'

export interface ServiceContext {
  readonly settings: Settings
  readonly log: Log
}

/** What is made once at the start and handed to handlers, routes and jobs: a mail client, a queue, a pool. */
export interface Service<T> {
  /** When it throws, or takes more than 10 s, the app does not start. */
  readonly start: (context: ServiceContext) => T | Promise<T>
  /** Runs when the app stops and nothing uses the service any more. All services together have 2 s. */
  readonly stop?: (service: T) => unknown
}

/** Returns its argument, and infers the types: `stop` gets what `start` makes. */
export const service = <T>(it: Service<T>): Service<T> => it

/** The types of these services as `start` makes them. */
export type Started<S> = {
  readonly [Name in keyof S]: S[Name] extends { start: (context: never) => infer Made }
    ? Awaited<Made>
    : never
}
