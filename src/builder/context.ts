import type { eventTypes } from '../integration/event-types.ts'
import type { senders } from '../integration/senders/index.ts'
import type { Services } from '../integration/services.ts'
import type { Settings } from '../integration/settings.ts'
import type { Log } from '../process/log.ts'
import type { EventApi } from '../revento/api.ts'
import type { DataOf, ReventoEvent } from '../revento/events.ts'
import type { ActivityRow, EventType, ParticipantRow } from '../revento/platform.ts'
import type { Activities } from './activities.ts'
import type { Db } from './db.ts'
import type { Once } from './once.ts'
import type { Participants } from './participants.ts'

/** The builder's own database, settings and services, for handlers, routes and jobs alike. */
export interface Own {
  /** Reads and writes your tables, and reads our views `revento_participants` and `revento_connections`. */
  readonly db: Db
  /** From `src/integration/settings.ts`. */
  readonly settings: Settings
  /** From `src/integration/services.ts`. */
  readonly services: Services
}

/** What every handler gets, whoever sent the webhook. A handler may run twice for one delivery: make it safe to repeat. */
export interface SenderContext<Event = unknown> extends Own {
  /**
   * `id` finds this delivery in the log and on the page; it is 0 while an inline answer is made. `attempt` counts the runs
   * of the delivery from 1. `receivedAt` is in ms since 1970.
   */
  readonly delivery: { id: number; provider: string; attempt: number; receivedAt: number }
  /** The signed body, parsed; undefined where it is not JSON. */
  readonly event: Event
  /** The signed body as it came; `raw.toString()` is its text. */
  readonly raw: Buffer
  readonly log: Log
  /** Fires at the time limit, when the process stops, and when the event is erased. */
  readonly signal: AbortSignal
}

/** What a handler gets whose delivery comes from the inbox. Only a handler that answers the sender inline gets less. */
export interface QueuedContext<Event = unknown> extends SenderContext<Event> {
  /** Keeps a later run from repeating an effect outside, such as a mail: see src/builder/once.ts. */
  readonly once: Once
}

/** The event types that Revento's guide shows, and those of src/integration/event-types.ts. */
export type HandledType = EventType | OwnType
type OwnType = keyof typeof eventTypes & string
type DataFor<T extends HandledType> = T extends OwnType
  ? NonNullable<(typeof eventTypes)[T]['data']> & Record<string, unknown>
  : DataOf<T>

/** The envelope. For a union of types it is a union of envelopes, so that `event.type` narrows `event.data`. */
export type EventOf<T extends HandledType> = T extends HandledType ? ReventoEvent<T, DataFor<T>> : never

/** What a handler of Revento's events gets. `event` is the envelope, typed by its `type`. */
export interface HandlerContext<T extends HandledType = EventType> extends QueuedContext<EventOf<T>> {
  /** The API of the event's connection. Where the organizer has to reconnect, a call parks the delivery until then. */
  readonly api: EventApi
  /** The stored participants of the event, read without a request to Revento. */
  readonly participants: Participants
  /** The event's activities as the last comparison found them; none without the scope program.read. */
  readonly activities: Activities
}

/** The findings of a comparison of the stored rows with Revento's lists; see src/integration/sync.ts. */
export interface SyncData {
  'participant.added': Found
  /** `changed`: the members that differ from `before`. */
  'participant.changed': Found & { readonly changed: readonly string[]; readonly before: ParticipantRow }
  /** `participant` is the row as it was stored last. Revento has no webhook for a removal. */
  'participant.removed': Found
  /** Only a comparison changes stored activities: it also finds what an `activity.updated` has announced before. */
  'activity.added': FoundActivity
  'activity.changed': FoundActivity & { readonly changed: readonly string[]; readonly before: ActivityRow }
  'activity.removed': FoundActivity
}
interface Found {
  readonly participant_id: string
  readonly participant: ParticipantRow
  /** The number of the comparison. */
  readonly run: number
}
interface FoundActivity {
  readonly activity_id: string
  readonly activity: ActivityRow
  readonly run: number
}
export type SyncType = keyof SyncData
/** What a handler of `sync` gets; `event.occurred_at` is when Revento's list was read. */
export interface SyncContext<T extends SyncType = SyncType>
  extends Omit<HandlerContext, 'event'>,
    QueuedContext<SyncEventOf<T>> {}
export type SyncEventOf<T extends SyncType> = T extends SyncType
  ? ReventoEvent<T, SyncData[T]> & { readonly event_id: string; readonly organization_id: string }
  : never
export type SyncHandler<T extends SyncType = SyncType> = (context: SyncContext<T>) => Promise<void>

/** When a handler throws, its delivery runs again later. */
export type Handler<T extends HandledType = EventType> = (context: HandlerContext<T>) => Promise<void>
export type SenderHandler = (context: QueuedContext) => Promise<void>

/** `status` is 200 unless it is given; from 400 on it denies. `body` is sent as JSON. */
export interface InlineAnswer {
  readonly status?: number
  readonly body?: object
}
/** Runs while the sender waits, for 8 s at most. When it throws, the answer asks the sender to send again. */
export type InlineHandler = (context: SenderContext) => Promise<InlineAnswer | undefined>

export interface Handlers extends SendersOfYours {
  readonly revento: { readonly [T in HandledType]?: Handler<T> }
  /** For the findings of comparisons, which come without a webhook. */
  readonly sync?: { readonly [T in SyncType]?: SyncHandler<T> }
  // part: senders {
  readonly aghanim?: { readonly [type: string]: InlineHandler | undefined }
  readonly entrupy?: SenderHandlers
  readonly barker?: SenderHandlers
  readonly standard?: SenderHandlers
  readonly handshake?: SenderHandlers
  // part: senders }
}
/** A sender whose `inline` has the type `true` gets the answer of its handler: declare it with `satisfies Provider`. */
type SendersOfYours = {
  readonly [Name in keyof typeof senders]?: (typeof senders)[Name] extends { readonly inline: true }
    ? { readonly [type: string]: InlineHandler | undefined }
    : SenderHandlers
}
export interface SenderHandlers {
  readonly [type: string]: SenderHandler | undefined
}
