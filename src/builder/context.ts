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

/** What is the builder's own: the same for handlers, routes and jobs. */
export interface Own {
  /** Your tables, to read and to write, and of ours `revento_participants` and `revento_connections`. */
  readonly db: Db
  /** From `src/integration/settings.ts`. */
  readonly settings: Settings
  /** From `src/integration/services.ts`. */
  readonly services: Services
}

/** What every handler gets, whoever sent the webhook. It may run twice for one, so write it to be safe to repeat. */
export interface SenderContext<Event = unknown> extends Own {
  /**
   * Ours: `id` finds this delivery in the log and on the page, and is 0 while an inline answer is made; `attempt` counts
   * from 1; `receivedAt` is in ms.
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

/** What a handler gets that runs from the inbox: of all but those whose sender waits for the answer. */
export interface QueuedContext<Event = unknown> extends SenderContext<Event> {
  /** For what happens outside, such as a mail: see src/builder/once.ts. */
  readonly once: Once
}

/** What a handler may be for: what the guide shows, and what you listed. */
export type HandledType = EventType | OwnType
type OwnType = keyof typeof eventTypes & string
type DataFor<T extends HandledType> = T extends OwnType
  ? NonNullable<(typeof eventTypes)[T]['data']> & Record<string, unknown>
  : DataOf<T>

/** The envelope; of several types one of each, so that a look at `event.type` tells what is in `event.data`. */
export type EventOf<T extends HandledType> = T extends HandledType ? ReventoEvent<T, DataFor<T>> : never

/** What a handler of Revento's events gets. `event` is the envelope, typed by its `type`. */
export interface HandlerContext<T extends HandledType = EventType> extends QueuedContext<EventOf<T>> {
  /** The API of the event's connection, with a token that is kept alive. Waits for a reconnect by itself. */
  readonly api: EventApi
  /** The stored participants of the event: read without a call. */
  readonly participants: Participants
  /** Its stored activities, where program.read is granted: as the last comparison found them. */
  readonly activities: Activities
}

/** What a comparison of what is stored with Revento's lists finds; see src/integration/sync.ts. */
export interface SyncData {
  'participant.added': Found
  /** `changed`: the members that differ from `before`. */
  'participant.changed': Found & { readonly changed: readonly string[]; readonly before: ParticipantRow }
  /** `participant` is what was stored last. Revento has no event for it. */
  'participant.removed': Found
  /** No webhook changes what is stored of an activity, so these also tell what an `activity.updated` has told. */
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

/** Throw to have the delivery run again later. */
export type Handler<T extends HandledType = EventType> = (context: HandlerContext<T>) => Promise<void>
export type SenderHandler = (context: QueuedContext) => Promise<void>

/** 200 where there is no status; a status from 400 on denies. The body is sent as JSON. */
export interface InlineAnswer {
  readonly status?: number
  readonly body?: object
}
/** Runs while the sender waits, for 8 s at most. Throw, and the sender is told to ask again. */
export type InlineHandler = (context: SenderContext) => Promise<InlineAnswer | undefined>

export interface Handlers extends SendersOfYours {
  readonly revento: { readonly [T in HandledType]?: Handler<T> }
  /** This app itself: what it found out without a webhook. */
  readonly sync?: { readonly [T in SyncType]?: SyncHandler<T> }
  // part: senders {
  readonly aghanim?: { readonly [type: string]: InlineHandler | undefined }
  readonly entrupy?: SenderHandlers
  readonly barker?: SenderHandlers
  readonly standard?: SenderHandlers
  readonly handshake?: SenderHandlers
  // part: senders }
}
/** One with `inline: true` (written as `satisfies Provider`, so that the type knows) wants the answer of its handler. */
type SendersOfYours = {
  readonly [Name in keyof typeof senders]?: (typeof senders)[Name] extends { readonly inline: true }
    ? { readonly [type: string]: InlineHandler | undefined }
    : SenderHandlers
}
export interface SenderHandlers {
  readonly [type: string]: SenderHandler | undefined
}
