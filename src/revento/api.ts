import type { Runtime } from '../process/runtime.ts'
import { ApiError } from './api-error.ts'
import { type Budgets, USER_WINDOWS, type Window } from './budget.ts'
import { allPages, type PageRequest, pageQuery, readPage, readRow } from './pages.ts'
import {
  type ActivityRow,
  type ApplicationRow,
  type ConnectionKey,
  type EventRow,
  type GrantKey,
  grantName,
  ID,
  type InstallationToken,
  type Page,
  type ParticipantRow,
  type ProfileRow,
  type Row,
  type Scope,
  type SignInKey,
  type UserScope,
  type UserToken,
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

/** The calls about a participant who signed in, and nobody else. */
export interface MeApi {
  /** Needs the scope profile.read. */
  profile(): Promise<ProfileRow>
  /** Needs event.attendance. */
  application(): Promise<ApplicationRow>
}

/** Runs a call with a live access token of one kind; see oauth/access-token. */
export type WithAccessToken<Token = InstallationToken, S = Scope> = <T>(
  call: (accessToken: Token) => Promise<T>,
  scope: S,
) => Promise<T>

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
  /** Set by a caller that leaves the rest of the limits to others; see `Wait`. */
  readonly share?: readonly Window[]
  /** Called with a moment (ms since 1970) by Revento's clock that is no later than what the answer shows. */
  readonly onMoment?: (at: number) => void
}

export interface ApiClient {
  forEvent(connection: ConnectionKey, withAccessToken: WithAccessToken, patience: Patience): EventApi
  forUser(
    signIn: SignInKey,
    withAccessToken: WithAccessToken<UserToken, UserScope>,
    patience: Patience,
  ): MeApi
}

export interface ApiClientOptions extends RequestOptions {
  readonly budgets: Budgets
  readonly windows: readonly Window[]
}

export function createApiClient(o: ApiClientOptions, runtime: Runtime): ApiClient {
  const send = createSend(o, runtime)
  const installations = createLimiters(o, runtime)
  const users = createLimiters({ budgets: o.budgets, windows: USER_WINDOWS }, runtime)
  const callsOfOneRun = Math.min(...o.windows.map(window => window.limit))

  /** Sends what one caller asks for about one grant. */
  function createGet<Token extends string, S>(
    limiter: () => Limiter,
    withAccessToken: WithAccessToken<Token, S>,
    { patienceMs, comesBack, signal, about, traceparent, note, share, onMoment }: Patience,
  ) {
    const begunAt = runtime.monotonic()
    let sent = 0
    const deadline = () => (comesBack ? begunAt : runtime.monotonic()) + patienceMs
    const comesBackFor = comesBack ? { comesBackFor: () => sent + 1 } : {}
    /**
     * A call gets its place before its token: the token is read after the wait, so that an expired one costs five
     * requests at most, not one for each call in line. Retries happen inside, so that a call refreshes once at most.
     */
    return async (path: string, query: Record<string, string>, scope: S): Promise<unknown> => {
      const wait = { deadline: deadline(), signal, share, ...comesBackFor }
      const retrying = createRetrying(wait, runtime)
      return limiter()
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
  }

  return {
    forEvent(connection, withAccessToken, patience) {
      const send = createGet(() => installations.of(connection), withAccessToken, patience)
      const get = async (tail: string, query: Record<string, string>, scope: Scope) => {
        if (!ID.test(connection.eventId)) throw new ApiError('invalid_event_id', 0, '')
        return send(`/events/${connection.eventId}${tail}`, query, scope)
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
    forUser(signIn, withAccessToken, patience) {
      const get = createGet(() => users.of(signIn), withAccessToken, patience)
      return {
        profile: async () => readRow(await get('/me/profile', {}, 'profile.read')),
        application: async () => readRow(await get('/me/application', {}, 'event.attendance')),
      }
    },
  }
}

const SWEEP_MS = 60_000

/** One limiter for each grant that this process has used within the last hour. */
export function createLimiters(
  { budgets, windows }: { budgets: Budgets; windows: readonly Window[] },
  runtime: Runtime,
): { of(grant: GrantKey): Limiter } {
  const limiters = new Map<string, Limiter>()
  let sweptAt = runtime.monotonic()

  function sweep(): void {
    if (runtime.monotonic() - sweptAt < SWEEP_MS) return
    sweptAt = runtime.monotonic()
    for (const [name, limiter] of limiters) if (limiter.isIdle()) limiters.delete(name)
  }

  return {
    of(grant) {
      sweep()
      const name = grantName(grant)
      const limiter =
        limiters.get(name) ?? createLimiter({ windows, change: work => budgets.change(grant, work) }, runtime)
      limiters.set(name, limiter)
      return limiter
    },
  }
}
