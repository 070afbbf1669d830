import { createActivities } from '../../builder/activities.ts'
import type { Handlers, Own, SenderContext } from '../../builder/context.ts'
import { type Db, ownDb } from '../../builder/db.ts'
import { createOnce } from '../../builder/once.ts'
import { createParticipants } from '../../builder/participants.ts'
import { type AccessTokens, ConnectionUnavailable } from '../../oauth/access-token.ts'
import type { Log } from '../../process/log.ts'
import type { Runtime } from '../../process/runtime.ts'
import { traceId } from '../../process/tracing.ts'
import type { ApiClient, EventApi, Patience } from '../../revento/api.ts'
import type { ReventoEvent } from '../../revento/events.ts'
import type { Queries } from '../../storage/database.ts'
import type { Incoming } from '../inbox/append.ts'
import type { Claimed } from '../inbox/claim.ts'
import { inlineProviders, SYNC } from '../providers/index.ts'
import { runInline } from '../spans.ts'
import { PARTICIPANT_TYPES } from './keep-participant.ts'
import type { Owed } from './owed.ts'
import { CALLS_WITHIN_MS, type RunHandler } from './run.ts'

export interface RunHandlerOptions {
  readonly handlers: Handlers
  readonly query: Queries
  readonly own: Omit<Own, 'db'>
  readonly apiClient: ApiClient
  readonly accessTokens: Pick<AccessTokens, 'use'>
  readonly owed: Owed
  readonly log: { child(fields: object): Log }
}

/** The context that a handler takes depends on its list: see `Handlers`. */
type AnyHandler = (context: SenderContext) => Promise<unknown>

/** Reads own members only: a type such as `constructor` has no handler. */
export const findHandler = (handlers: Handlers, provider: string, type: string): AnyHandler | undefined => {
  const list = Object.hasOwn(handlers, provider) ? handlers[provider as keyof Handlers] : undefined
  return list && Object.hasOwn(list, type)
    ? (list as Record<string, AnyHandler | undefined>)[type]
    : undefined
}

/** A handler that answers its sender is never run from the inbox: nobody waits for the answer any more. */
export const findQueuedHandler = (handlers: Handlers, provider: string, type: string) =>
  inlineProviders.includes(provider) ? undefined : findHandler(handlers, provider, type)

export const findOwed = (owed: Owed, provider: string, type: string) =>
  provider === 'revento' && Object.hasOwn(owed, type) ? owed[type] : undefined

/** The step from stored bytes to the builder's function: parses them once and makes the function's context. */
export function createRunHandler(o: RunHandlerOptions, runtime: Runtime): RunHandler {
  return async (delivery, signal, note) => {
    const { body, provider, type } = delivery
    if (body === null) return undefined
    await findOwed(o.owed, provider, type)?.(delivery, signal)
    const handler = findQueuedHandler(o.handlers, provider, type)
    // The delivery is `ignored`, though its participant is stored, so that it can run again once there is a handler.
    if (!handler) return Object.hasOwn(PARTICIPANT_TYPES, type) ? 'ignored' : undefined
    const context = contextOf(o, { ...delivery, body }, signal)
    const once = createOnce(o.query, delivery, { signal, note }, runtime)
    if (provider !== 'revento' && provider !== SYNC) {
      await handler(Object.assign(context, { once }))
      return undefined
    }
    const event = context.event as ReventoEvent
    const about = { delivery: delivery.id }
    const patience = { signal, patienceMs: CALLS_WITHIN_MS, comesBack: true, about, note }
    const api = eventApi(o, event, patience)
    const { platform } = delivery
    const key = { eventId: event.event_id ?? '', organizationId: event.organization_id ?? '' }
    const participants = createParticipants(o.query, platform, key, signal)
    const activities = createActivities(o.query, platform, key, signal)
    await handler(Object.assign(context, { once, api, participants, activities }))
    return undefined
  }
}

/** The handler that makes the answer to this delivery. */
export const findInlineHandler =
  (o: Pick<RunHandlerOptions, 'handlers' | 'query' | 'own' | 'log'>) => (incoming: Incoming) => {
    const { provider, receivedAt, body } = incoming
    const { type } = incoming.envelope
    const handler = findHandler(o.handlers, provider, type)
    const delivery = { id: 0, provider, type, attempt: 1, receivedAt, body }
    return (
      handler && ((signal: AbortSignal) => runInline(incoming, () => handler(contextOf(o, delivery, signal))))
    )
  }

function contextOf(
  { query, own, log }: Pick<RunHandlerOptions, 'query' | 'own' | 'log'>,
  {
    id,
    provider,
    type,
    attempt,
    receivedAt,
    body,
  }: Pick<Claimed, 'id' | 'provider' | 'type' | 'attempt' | 'receivedAt'> & { body: Uint8Array },
  signal: AbortSignal,
): SenderContext {
  const raw = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  let lines: Log | undefined
  let db: Db | undefined
  return {
    delivery: { id, provider, attempt, receivedAt },
    event: parse(raw),
    raw,
    ...own,
    // These are made at their first use: most handlers write no line of their own, and read nothing.
    get db() {
      db ??= ownDb(query, signal)
      return db
    },
    get log() {
      const about = id === 0 ? { provider } : { delivery: id }
      lines ??= log.child({ part: 'handler', type, ...about, trace_id: traceId() })
      return lines
    },
    signal,
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Undefined where the body is not JSON: some senders send any text. */
function parse(raw: Buffer): unknown {
  try {
    return JSON.parse(utf8.decode(raw))
  } catch {
    return undefined
  }
}

/**
 * A call waits for its turn while the handler has time for it. A longer wait fails at once, and the delivery comes back at
 * its turn, uncounted. An event of the whole integration has no connection, so its handler has nothing to call.
 */
function eventApi(
  o: RunHandlerOptions,
  { event_id, organization_id }: ReventoEvent,
  patience: Patience,
): EventApi {
  if (event_id === null || organization_id === null) return noConnection
  const key = { eventId: event_id, organizationId: organization_id }
  const { note } = patience
  return o.apiClient.forEvent(key, (call, scope) => o.accessTokens.use(key, call, { note, scope }), patience)
}

const unavailable = () => Promise.reject(new ConnectionUnavailable('not_connected'))
const noConnection: EventApi = {
  event: unavailable,
  participants: unavailable,
  async *allParticipants() {
    yield await unavailable()
  },
  program: unavailable,
  activities: unavailable,
  threads: unavailable,
  locations: unavailable,
  registrationWaves: unavailable,
}
