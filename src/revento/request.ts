import type { Dispatcher } from 'undici'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { traceId } from '../process/tracing.ts'
import { ApiError } from './api-error.ts'
import type { Observe } from './drift.ts'
import { exchange, type HttpAnswer, isTimeout, isTooLarge, reasonOf } from './http.ts'
import { ACCEPT, PAGE_LIMIT, REQUEST_ID_HEADER } from './platform.ts'
import { ODD_RETRY_AFTER, type RateHeaders, readRateHeaders } from './rate-headers.ts'
import type { Wait } from './rate-limiter.ts'

/** One request to Revento, or one effect of `once`, for the story of its delivery. `at` is ms since 1970. */
export interface Call {
  readonly at: number
  readonly ms: number
  /** `GET` and the path without its query, `token refresh`, or `once` and the effect's name. */
  readonly what: string
  /** Status and code as they came: `200`, `429 rate_limit_exceeded`, `upstream_timeout`, `ok`; `kept from run 1`. */
  readonly result: string
  /** The id under which Revento's support finds it. */
  readonly request_id?: string
}

export interface RequestOptions {
  readonly apiBase: string
  readonly dispatcher: Dispatcher
  readonly log: Log
  /** Called for each request with Revento's status, or with our code where no answer came. */
  readonly count?: ((code: string) => void) | undefined
  /** Called with each answer. */
  readonly observe?: Observe | undefined
}

interface ApiRequest {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly accessToken: string
  readonly signal: AbortSignal | undefined
  /** Fields for the log that say who calls: `delivery` or `request_id`. */
  readonly about: object | undefined
  /** The trace of the caller's own request, which Revento continues. */
  readonly traceparent: string | undefined
  readonly note: ((call: Call) => void) | undefined
  readonly onMoment: ((at: number) => void) | undefined
  /** Called with what the answer's headers say about the budget. */
  onRate(rate: RateHeaders): void
}

/** Sends one GET and returns its body, or throws an ApiError. */
type Send = (request: ApiRequest) => Promise<unknown>

interface Outcome {
  status: number
  code: string | undefined
  retry_after_ms?: number | undefined
  /** The network's code where no answer came. */
  reason?: string
  revento_echoed_id?: string
}

export function createSend(o: RequestOptions, runtime: Runtime): Send {
  let oddSaid = false
  return async request => {
    // Each request has an id of its own, which stands in the logs of both sides.
    const requestId = runtime.uuid()
    const startedAt = runtime.now()
    const since = runtime.monotonic()
    const log = (outcome: Outcome) => {
      const ms = runtime.now() - startedAt
      const { path, about, note } = request
      const traced = { trace_id: traceId(), ...about }
      const fields = { part: 'api', ...traced, path, revento_request_id: requestId, ms, ...outcome }
      const result = [outcome.status || undefined, outcome.code].filter(part => part !== undefined).join(' ')
      o.count?.(String(outcome.status || outcome.code))
      note?.({ at: startedAt, ms, what: `GET ${path}`, result, request_id: requestId })
      if (outcome.status === 0) o.log.warn(fields, 'Revento API call without an answer')
      else o.log.info(fields, 'Revento API call')
    }
    const answer = await send(o, request, requestId).catch(error => {
      const code = request.signal?.aborted ? 'aborted' : failureCode(error)
      log({ status: 0, code, reason: reasonOf(error) })
      request.signal?.throwIfAborted()
      throw new ApiError(code, 0, requestId)
    })
    const limit = Number(request.query['limit'] ?? PAGE_LIMIT.default)
    o.observe?.({ door: 'api', path: request.path, requestId, limit, answer })
    const result = judge(answer)
    const code = 'code' in result ? result.code : undefined
    const rate = readRateHeaders(answer, code, runtime.now())
    request.onRate(rate)
    request.onMoment?.(momentOf(answer, runtime.monotonic() - since) ?? startedAt)
    if (rate.isOdd && !oddSaid)
      o.log.error({ part: 'api', path: request.path, code: 'odd_retry_after' }, ODD_RETRY_AFTER)
    oddSaid ||= rate.isOdd === true
    log({ status: answer.status, code, retry_after_ms: rate.retryAfterMs, ...echoed(answer, requestId) })
    if ('code' in result) throw new ApiError(result.code, answer.status, requestId, rate.retryAfterMs)
    return result.body
  }
}

/** The Date of an answer is when it was made: what it shows was read after the request was sent. */
function momentOf({ headers }: HttpAnswer, ms: number): number | undefined {
  const { date } = headers
  const at = typeof date === 'string' ? Date.parse(date) : Number.NaN
  return Number.isNaN(at) ? undefined : Math.floor(at - ms)
}

function send(o: RequestOptions, request: ApiRequest, requestId: string): Promise<HttpAnswer> {
  const search = new URLSearchParams(request.query).toString()
  return exchange(o.dispatcher, `${o.apiBase}${request.path}${search && `?${search}`}`, {
    method: 'GET',
    headers: {
      authorization: `Bearer ${request.accessToken}`,
      accept: ACCEPT,
      [REQUEST_ID_HEADER]: requestId,
      ...(request.traceparent ? { traceparent: request.traceparent } : {}),
    },
    ...(request.signal ? { signal: request.signal } : {}),
  })
}

function failureCode(error: unknown): 'answer_too_large' | 'upstream_timeout' | 'upstream_error' {
  if (isTooLarge(error)) return 'answer_too_large'
  return isTimeout(error) ? 'upstream_timeout' : 'upstream_error'
}

/** Pure: judges an answer by its status, its form and the code in its `error`. */
export function judge({ status, text }: HttpAnswer): { body: unknown } | { code: string } {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return { code: 'upstream_error' }
  }
  if (status === 200) return isDeeper(body, DEEPEST) ? { code: 'upstream_error' } : { body }
  const code = typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined
  return { code: typeof code === 'string' && /^[a-z_]{1,64}$/.test(code) ? code : 'upstream_error' }
}

/** Far deeper than any resource: code that walks a value of a hundred thousand levels runs out of stack. */
const DEEPEST = 100
const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some(member => isDeeper(member, levels - 1)))

/** Revento returns our id. A different id is the one under which Revento has logged the request. */
function echoed({ headers }: HttpAnswer, requestId: string): { revento_echoed_id?: string } {
  const id = headers[REQUEST_ID_HEADER]
  const other = typeof id === 'string' && id !== requestId && /^[\x21-\x7e]{1,128}$/.test(id)
  return other ? { revento_echoed_id: id } : {}
}

/** How many requests of one call may fail, the first one included. */
const MAX_REQUESTS = 3

const BACKOFF_MS = 250
/** The pause after a 429 for too many requests in flight, which end "usually well under a second", says the guide. */
const CONCURRENT_MS = 150

type Retrying = <T>(request: () => Promise<T>) => Promise<T>

/**
 * Repeats a request whose failure may pass by itself: a 429, a 5xx, a broken connection, no answer in time; never after
 * another 4xx. The failures of one call are counted together, also across a refresh of its token.
 */
export function createRetrying(wait: Wait, runtime: Runtime): Retrying {
  let failures = 0
  return async request => {
    for (;;) {
      try {
        return await request()
      } catch (error) {
        if (!(error instanceof ApiError) || !mayPass(error)) throw error
        failures += 1
        const pauseMs = pause(error, failures, runtime)
        const at = runtime.monotonic() + Math.max(pauseMs, error.retryAfterMs ?? 0)
        if (failures >= MAX_REQUESTS || at > wait.deadline) throw error
        await runtime.sleep(pauseMs, wait.signal)
      }
    }
  }
}

/** Status 0 needs a look at the code: our own refusal to wait has that status too. */
const mayPass = ({ status, code }: ApiError) =>
  status === 429 ||
  status >= 500 ||
  (status === 0 && (code === 'upstream_error' || code === 'upstream_timeout'))

/** The jitter parts callers that failed together. A longer wait that Revento asked for is kept by the rate limiter. */
function pause({ code }: ApiError, failures: number, runtime: Runtime): number {
  const random = (runtime.bytes(1)[0] ?? 0) / 256
  const base = code === 'concurrent_limit_exceeded' ? CONCURRENT_MS : BACKOFF_MS * 2 ** (failures - 1)
  return Math.round(base * (1 + random))
}
