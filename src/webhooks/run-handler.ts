import type { HandlerStore, Handlers } from '../handlers/context.ts'
import type { Log } from '../log.ts'
import { type AccessTokens, ConnectionUnavailable } from '../oauth/access-token.ts'
import type { ApiClient, EventApi, Patience } from '../revento/api.ts'
import type { ReventoEvent } from '../revento/events.ts'
import { type RunHandler, TIME_LIMIT_MS } from './attempt.ts'

export interface RunHandlerOptions {
  readonly handlers: Handlers
  readonly apiClient: ApiClient
  readonly accessTokens: Pick<AccessTokens, 'use'>
  readonly store: HandlerStore
  readonly log: { child(fields: object): Log }
}

/** Only own members: a type such as `constructor` has no handler. */
export const findHandler = (handlers: Handlers, provider: string, type: string) => {
  const list = Object.hasOwn(handlers, provider) ? handlers[provider as keyof Handlers] : undefined
  return list && Object.hasOwn(list, type) ? list[type] : undefined
}

/** The step from stored bytes to the cloner's function: parses them once and gives it its context. */
export function createRunHandler(o: RunHandlerOptions): RunHandler {
  return async (delivery, signal, note) => {
    const handler = findHandler(o.handlers, delivery.provider, delivery.type)
    if (!handler || delivery.body === null) return
    const event = JSON.parse(new TextDecoder().decode(delivery.body)) as ReventoEvent
    const { id, provider, type, attempt, receivedAt } = delivery
    const patience = { signal, patienceMs: TIME_LIMIT_MS, about: { delivery: id }, note }
    let log: Log | undefined
    await handler({
      delivery: { id, provider, attempt, receivedAt },
      event: event as never,
      api: eventApi(o, event, patience),
      store: o.store,
      // Made when it is asked for: most handlers write no line of their own.
      get log() {
        log ??= o.log.child({ part: 'handler', delivery: id, type })
        return log
      },
      signal,
    })
  }
}

/**
 * A call waits for its turn until the handler's time is up; a longer wait fails now, and the delivery comes back
 * later. An integration-level event belongs to no connection: its handler has nothing to call.
 */
function eventApi(
  o: RunHandlerOptions,
  { event_id, organization_id }: ReventoEvent,
  patience: Patience,
): EventApi {
  if (event_id === null || organization_id === null) return noConnection
  const key = { eventId: event_id, organizationId: organization_id }
  return o.apiClient.forEvent(key, call => o.accessTokens.use(key, call, patience.note), patience)
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
