import type { Runtime } from '../runtime.ts'
import { ApiError } from './api-error.ts'
import { type AttemptOptions, createAttempt } from './attempt.ts'
import type { Call } from './call.ts'
import { type ApiConnection, createLimiters } from './limiters.ts'
import { allPages, type PageRequest, pageQuery, type Row, readPage, readRow } from './pages.ts'
import { ID, type Page } from './platform.ts'
import { createRetrying } from './retry.ts'

export { ApiError, RefreshPending } from './api-error.ts'
export { judge } from './attempt.ts'
export type { PageRequest } from './pages.ts'

/** What may be asked about a connection's event. Everything is read only, and waits within Revento's limits. */
export interface EventApi {
  event(): Promise<Row>
  participants(page?: PageRequest): Promise<Page>
  /** Every participant, page after page. */
  allParticipants(): AsyncIterable<Row>
  /** These five need the scope program.read. */
  program(): Promise<Row>
  activities(page?: PageRequest): Promise<Page>
  threads(page?: PageRequest): Promise<Page>
  locations(page?: PageRequest): Promise<Page>
  registrationWaves(page?: PageRequest): Promise<Page>
}

/** Runs a call with an access token that is alive; see oauth/access-token. */
export type WithAccessToken = <T>(call: (accessToken: string) => Promise<T>) => Promise<T>

/** How long the caller of each call has: no request begins later than `patienceMs` after the call. */
export interface Patience {
  readonly patienceMs: number
  readonly signal?: AbortSignal
  /** Whose calls they are, for the log: `delivery` or `request_id`. */
  readonly about?: object
  readonly traceparent?: string
  /** Takes each call once it has ended. */
  readonly note?: (call: Call) => void
}

export interface ApiClient {
  forEvent(connection: ApiConnection, withAccessToken: WithAccessToken, patience: Patience): EventApi
}

export function createApiClient(o: AttemptOptions, runtime: Runtime): ApiClient {
  const attempt = createAttempt(o, runtime)
  const limiters = createLimiters(runtime)

  return {
    forEvent(connection, withAccessToken, { patienceMs, signal, about, traceparent, note }) {
      /**
       * The place comes before the token: who waited in line gets the token as it is then, so one expiry costs five
       * requests and not one for each who waited. The retries come after it: whatever happens, one refresh.
       */
      async function get(tail: string, query: Record<string, string>): Promise<unknown> {
        if (!ID.test(connection.eventId)) throw new ApiError('invalid_event_id', 0, '')
        const path = `/events/${connection.eventId}${tail}`
        const wait = { deadline: runtime.now() + patienceMs, signal }
        const retrying = createRetrying(wait, runtime)
        return limiters
          .of(connection)
          .run(wait, place =>
            withAccessToken(accessToken =>
              retrying(() =>
                place.send(hear =>
                  attempt({ path, query, accessToken, signal, about, traceparent, note, hear }),
                ),
              ),
            ),
          )
      }
      const row = async (tail: string) => readRow(await get(tail, {}))
      const page =
        (tail: string) =>
        async (request: PageRequest = {}) =>
          readPage(await get(tail, pageQuery(request)))
      const participants = page('/participants')
      return {
        event: () => row(''),
        participants,
        allParticipants: () => allPages(participants),
        program: () => row('/program'),
        activities: page('/activities'),
        threads: page('/threads'),
        locations: page('/locations'),
        registrationWaves: page('/registration-waves'),
      }
    },
  }
}
