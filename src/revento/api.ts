import type { Runtime } from '../process/runtime.ts'
import { ApiError } from './api-error.ts'
import type { Budgets, Window } from './budget.ts'
import { allPages, type PageRequest, pageQuery, readPage, readRow } from './pages.ts'
import {
  type ActivityRow,
  type ConnectionKey,
  type EventRow,
  ID,
  type Page,
  type ParticipantRow,
  type Row,
  type Scope,
} from './platform.ts'
import { createLimiter, type Limiter } from './rate-limiter.ts'
import { type Call, createRetrying, createSend, type RequestOptions } from './request.ts'

export { ApiError, RefreshPending } from './api-error.ts'
export type { PageRequest } from './pages.ts'
export { judge } from './request.ts'

/** The calls about a connection's event. All of them only read, and each waits for its turn in Revento's limits. */
export interface EventApi {
  event(): Promise<EventRow>
  participants(page?: PageRequest): Promise<Page<ParticipantRow>>
  /** Yields every participant, page after page. */
  allParticipants(): AsyncIterable<ParticipantRow>
  /** These five need the scope program.read. */
  program(): Promise<Row>
  activities(page?: PageRequest): Promise<Page<ActivityRow>>
  threads(page?: PageRequest): Promise<Page>
  locations(page?: PageRequest): Promise<Page>
  registrationWaves(page?: PageRequest): Promise<Page>
}

/** Runs a call with a live access token; see oauth/access-token. */
export type WithAccessToken = <T>(call: (accessToken: string) => Promise<T>, scope: Scope) => Promise<T>

export interface Patience {
  /** A call fails instead of sending a request later than this after it was made. */
  readonly patienceMs: number
  /** The caller is a handler, which runs again when it has to wait longer: its calls share one `patienceMs`. */
  readonly comesBack?: boolean
  readonly signal?: AbortSignal
  /** Fields for the log that say who calls: `delivery` or `request_id`. */
  readonly about?: object
  readonly traceparent?: string
  /** Called with each request once it has ended. */
  readonly note?: (call: Call) => void
  /** The caller leaves the rest of the limits to others; see `Wait`. */
  readonly share?: readonly Window[]
  /** Called with a moment (ms since 1970) by Revento's clock that is no later than what the answer shows. */
  readonly onMoment?: (at: number) => void
}

export interface ApiClient {
  forEvent(connection: ConnectionKey, withAccessToken: WithAccessToken, patience: Patience): EventApi
}

export interface ApiClientOptions extends RequestOptions {
  readonly budgets: Budgets
  readonly windows: readonly Window[]
}

export function createApiClient(o: ApiClientOptions, runtime: Runtime): ApiClient {
  const send = createSend(o, runtime)
  const limiters = createLimiters(o, runtime)
  const callsOfOneRun = Math.min(...o.windows.map(window => window.limit))

  return {
    forEvent(connection, withAccessToken, patience) {
      const { patienceMs, comesBack, signal, about, traceparent, note, share, onMoment } = patience
      const begunAt = runtime.monotonic()
      let sent = 0
      const deadline = () => (comesBack ? begunAt : runtime.monotonic()) + patienceMs
      const comesBackFor = comesBack ? { comesBackFor: () => sent + 1 } : {}
      /**
       * A call gets its place before its token: the token is read after the wait, so that an expired one costs five
       * requests at most, not one for each call in line. Retries happen inside, so that a call refreshes once at most.
       */
      async function get(tail: string, query: Record<string, string>, scope: Scope): Promise<unknown> {
        if (!ID.test(connection.eventId)) throw new ApiError('invalid_event_id', 0, '')
        const path = `/events/${connection.eventId}${tail}`
        const wait = { deadline: deadline(), signal, share, ...comesBackFor }
        const retrying = createRetrying(wait, runtime)
        return limiters
          .of(connection)
          .run(wait, place =>
            withAccessToken(
              accessToken =>
                retrying(() =>
                  place.send(onRate => {
                    sent += 1
                    return send({
                      ...{ path, query, accessToken, signal, about, traceparent, note, onRate, onMoment },
                    })
                  }),
                ),
              scope,
            ),
          )
          .catch(error => {
            const used = error instanceof ApiError && error.code === 'rate_budget_used'
            throw used && comesBack && sent >= callsOfOneRun ? new ApiError('too_many_calls', 0, '') : error
          })
      }
      const row = async (tail: string, scope: Scope) => readRow(await get(tail, {}, scope))
      // The types of the rows are the guide's: the members are not checked.
      const page =
        <R extends Row = Row>(tail: string, scope: Scope) =>
        async (request: PageRequest = {}) =>
          readPage(await get(tail, pageQuery(request), scope)) as Page<R>
      const participants = page<ParticipantRow>('/participants', 'participants.read')
      return {
        event: () => row('', 'event.read'),
        participants,
        allParticipants: () => allPages(participants),
        program: () => row('/program', 'program.read'),
        activities: page<ActivityRow>('/activities', 'program.read'),
        threads: page('/threads', 'program.read'),
        locations: page('/locations', 'program.read'),
        registrationWaves: page('/registration-waves', 'program.read'),
      }
    },
  }
}

const SWEEP_MS = 60_000

/** One limiter for each connection that this process has used within the last hour. */
export function createLimiters(
  { budgets, windows }: { budgets: Budgets; windows: readonly Window[] },
  runtime: Runtime,
): { of(connection: ConnectionKey): Limiter } {
  const limiters = new Map<string, Limiter>()
  let sweptAt = runtime.monotonic()

  function sweep(): void {
    if (runtime.monotonic() - sweptAt < SWEEP_MS) return
    sweptAt = runtime.monotonic()
    for (const [name, limiter] of limiters) if (limiter.isIdle()) limiters.delete(name)
  }

  return {
    of(connection) {
      sweep()
      const name = `${connection.eventId} ${connection.organizationId}`
      const limiter =
        limiters.get(name) ??
        createLimiter({ windows, change: work => budgets.change(connection, work) }, runtime)
      limiters.set(name, limiter)
      return limiter
    },
  }
}
