import type { Log } from '../log.ts'
import type { EventApi } from '../revento/api.ts'
import type { ReventoEvent } from '../revento/events.ts'
import type { EventType } from '../revento/platform.ts'
import type { EventData } from '../storage/event-data.ts'

/** What every handler gets. It may run twice for the same event, so write it to be safe to repeat. */
export interface HandlerContext<T extends string = EventType> {
  /** Ours: `id` finds this delivery in the log and on the page; `attempt` counts from 1; `receivedAt` is in ms. */
  readonly delivery: { id: number; provider: string; attempt: number; receivedAt: number }
  /** The signed envelope, typed by its `type`. */
  readonly event: ReventoEvent<T>
  /** The API of the event's connection, with a token that is kept alive. Waits for a reconnect by itself. */
  readonly api: EventApi
  /** What this app stores of an event. */
  readonly store: HandlerStore
  readonly log: Log
  /** Fires at the time limit and when the process stops. */
  readonly signal: AbortSignal
}

export interface HandlerStore extends EventData {
  /** Marks every connection suspended; says how many. */
  suspendConnections(): Promise<number>
}

/** Throw to have the delivery run again later. */
export type Handler<T extends string = EventType> = (context: HandlerContext<T>) => Promise<void>

export interface Handlers {
  readonly revento: { readonly [T in EventType]?: Handler<T> } & {
    readonly [type: string]: Handler<never> | undefined
  }
}
