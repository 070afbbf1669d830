import { setTimeout as delay, setImmediate as turned } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import type { Runtime } from '../../src/process/runtime.ts'
import { createApiClient, type Patience, type WithAccessToken } from '../../src/revento/api.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import type { ConnectionKey } from '../../src/revento/platform.ts'
import { testBudgets } from '../helpers/budgets.ts'
import { type ManualClock, manualClock } from '../helpers/clock.ts'
import { type Answer, emptyPage, json, startUpstream, type Upstream } from '../helpers/upstream.ts'

export const CONNECTION: ConnectionKey = { eventId: 'evt_1', organizationId: 'org_1' }
export const PATH = '/api/v1/events/evt_1/participants'

type LogLine = Record<string, unknown>

export interface Caller extends Partial<Patience> {
  connection?: ConnectionKey
  withAccessToken?: WithAccessToken
}

/** The client over real sockets, with the time that a test gives it. */
export async function startApi<R extends Runtime>(runtime: R) {
  const upstream = await startUpstream()
  const outgoing = createOutgoing()
  onTestFinished(async () => {
    await outgoing.close()
    await upstream.close()
  })
  const log: LogLine[] = []
  const client = createApiClient(
    {
      ...(await testBudgets()),
      apiBase: upstream.apiBase,
      dispatcher: outgoing.api,
      log: {
        info: fields => void log.push(fields as LogLine),
        warn: fields => void log.push(fields as LogLine),
        error: fields => void log.push(fields as LogLine),
      },
    },
    runtime,
  )
  /** Returns the API of a connection, whose calls wait for ever unless `patience` says otherwise. */
  const as = ({ connection = CONNECTION, withAccessToken, patienceMs, signal, share }: Caller = {}) =>
    client.forEvent(connection, withAccessToken ?? (call => call('token-1')), {
      patienceMs: patienceMs ?? Number.POSITIVE_INFINITY,
      ...(signal ? { signal } : {}),
      ...(share ? { share } : {}),
    })
  return { upstream, log, client, as, api: as(), clock: runtime }
}

export interface Watched {
  /** The moments at which requests came, by the test's clock, and how many had no answer at once. */
  arrivals: number[]
  mostInFlight: number
  inFlight: number
}

/** Answers after a real moment, so that what can overlap does. */
export function watch(upstream: Upstream, clock: Runtime, answer: Answer = json(200, emptyPage)): Watched {
  const watched: Watched = { arrivals: [], mostInFlight: 0, inFlight: 0 }
  upstream.onApi = (request, response) => {
    watched.arrivals.push(clock.now())
    watched.inFlight += 1
    watched.mostInFlight = Math.max(watched.mostInFlight, watched.inFlight)
    setTimeout(() => {
      watched.inFlight -= 1
      answer(request, response)
    }, 3)
  }
  return watched
}

/** Resolves when no request has come for a while; where all have answers, that is a few turns of the event loop. */
export async function quiet(upstream: Upstream): Promise<void> {
  for (let calm = 0, seen = -1; calm < 3; ) {
    if (upstream.unanswered() > 0) await delay(10)
    else for (let turn = 0; turn < 20; turn++) await turned()
    calm = upstream.requests.length === seen ? calm + 1 : 0
    seen = upstream.requests.length
  }
}

/** Moves the clock from one wake-up to the next until all calls have ended. */
export async function play(clock: ManualClock, upstream: Upstream, calls: Promise<unknown>[]): Promise<void> {
  let ended = false
  void Promise.allSettled(calls).then(() => {
    ended = true
  })
  for (;;) {
    await quiet(upstream)
    if (ended) return
    clock.advance(Math.min(...clock.sleepers()))
  }
}

export const times = <T>(n: number, make: (n: number) => T): T[] =>
  Array.from({ length: n }, (_, i) => make(i))

/** Returns the most events that any half-open stretch of this length holds. */
export const mostWithin = (moments: number[], lengthMs: number): number =>
  Math.max(...moments.map(from => moments.filter(at => at >= from && at < from + lengthMs).length))

export { manualClock }
