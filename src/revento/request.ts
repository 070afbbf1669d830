import type { Dispatcher } from 'undici'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { ApiError } from './api-error.ts'
import { exchange, type HttpAnswer, isTimeout, isTooLarge, reasonOf } from './http.ts'
import { ACCEPT, REQUEST_ID_HEADER } from './platform.ts'
import { ODD_RETRY_AFTER, readTold, type Told } from './rate-headers.ts'
import type { Wait } from './rate-limiter.ts'

/** One thing asked of Revento, or one effect of `once`, for the story of who asked for it. `at` in ms since 1970. */
export interface Call {
  readonly at: number
  readonly ms: number
  /** `GET` and the path without its query, `token refresh`, or `once` and the effect's name. */
  readonly what: string
  /** Status and code as they came: `200`, `429 rate_limit_exceeded`, `upstream_timeout`, `ok`; `kept from run 1`. */
  readonly result: string
  /** As sent to Revento, so that its side can be asked. */
  readonly request_id?: string
}

export interface AttemptOptions {
  readonly apiBase: string
  readonly dispatcher: Dispatcher
  readonly log: Log
  /** Counts answers: Revento's status, or our word for why there is none; never a text of Revento's. */
  readonly count?: (code: string) => void
}

interface ApiRequest {
  readonly path: string
  readonly query: Readonly<Record<string, string>>
  readonly accessToken: string
  readonly signal: AbortSignal | undefined
  /** Whose call it is, for the log: a delivery's or a request's id. */
  readonly about: object | undefined
  /** Of the request that it is made for; sent on, so that Revento's trace goes on from there. */
  readonly traceparent: string | undefined
  /** Takes each call once it has ended, for the story of who made it. */
  readonly note: ((call: Call) => void) | undefined
  /** Takes what the answer told about the budget. */
  hear(told: Told): void
}

/** Sends one GET; gives its body, or throws the one ApiError. */
export type Attempt = (request: ApiRequest) => Promise<unknown>

interface Outcome {
  status: number
  code: string | undefined
  retry_after_ms?: number | undefined
  /** Why there is no answer, as the network put it. */
  reason?: string
  revento_echoed_id?: string
}

export function createAttempt(o: AttemptOptions, runtime: Runtime): Attempt {
  let oddSaid = false
  return async request => {
    // A fresh id for each attempt, in the log of both sides.
    const requestId = runtime.uuid()
    const startedAt = runtime.now()
    const log = (outcome: Outcome) => {
      const ms = runtime.now() - startedAt
      const { path, about, note } = request
      const fields = { part: 'api', ...about, path, revento_request_id: requestId, ms, ...outcome }
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
    const result = judge(answer)
    const code = 'code' in result ? result.code : undefined
    const told = readTold(answer, code, runtime.now())
    request.hear(told)
    if (told.isOdd && !oddSaid)
      o.log.error({ part: 'api', path: request.path, code: 'odd_retry_after' }, ODD_RETRY_AFTER)
    oddSaid ||= told.isOdd === true
    log({ status: answer.status, code, retry_after_ms: told.retryAfterMs, ...echoed(answer, requestId) })
    if ('code' in result) throw new ApiError(result.code, answer.status, requestId, told.retryAfterMs)
    return result.body
  }
}

function send(o: AttemptOptions, request: ApiRequest, requestId: string): Promise<HttpAnswer> {
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

/** Pure: what an answer means. The message text is never looked at. */
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

/** Far beyond any resource. Whoever walks or writes a value of a hundred thousand levels runs out of stack. */
const DEEPEST = 100
const isDeeper = (value: unknown, levels: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (levels === 0 || Object.values(value).some(member => isDeeper(member, levels - 1)))

/** Revento says our id back. Another one is the id under which its side logged the call. */
function echoed({ headers }: HttpAnswer, requestId: string): { revento_echoed_id?: string } {
  const id = headers[REQUEST_ID_HEADER]
  const other = typeof id === 'string' && id !== requestId && /^[\x21-\x7e]{1,128}$/.test(id)
  return other ? { revento_echoed_id: id } : {}
}

/** Requests of one call that Revento did not answer properly, the first one included. */
export const MAX_REQUESTS = 3

const BACKOFF_MS = 250
/** "Usually well under a second", the guide says of a full house. */
const CONCURRENT_MS = 150

type Retrying = <T>(attempt: () => Promise<T>) => Promise<T>

/**
 * Asks again after what may pass by itself: a 429, a 5xx, a broken connection, no answer in time; never after another
 * 4xx. All attempts of one call share the number, also those after a refreshed token.
 */
export function createRetrying(wait: Wait, runtime: Runtime): Retrying {
  let failures = 0
  return async attempt => {
    for (;;) {
      try {
        return await attempt()
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

/** Status 0 alone does not do: our own refusal to wait has it too. */
const mayPass = ({ status, code }: ApiError) =>
  status === 429 ||
  status >= 500 ||
  (status === 0 && (code === 'upstream_error' || code === 'upstream_timeout'))

/** With jitter, so that callers that failed together do not come back together. A longer told wait is the limiter's part. */
function pause({ code }: ApiError, failures: number, runtime: Runtime): number {
  const random = (runtime.bytes(1)[0] ?? 0) / 256
  const base = code === 'concurrent_limit_exceeded' ? CONCURRENT_MS : BACKOFF_MS * 2 ** (failures - 1)
  return Math.round(base * (1 + random))
}
