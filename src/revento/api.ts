import type { Dispatcher } from 'undici'
import type { Runtime } from '../runtime.ts'
import { classifyFailure, exchange, type HttpAnswer } from './http.ts'
import { ACCEPT, ID, PAGE_LIMIT, type Page, REQUEST_ID_HEADER } from './platform.ts'

/**
 * An answer of the API that is not a success, or none at all (status 0). `code` is the platform's own, and the only
 * thing to branch on; `upstream_error` and `upstream_timeout` where it gave none.
 */
export class ApiError extends Error {
  readonly code: string
  readonly status: number
  readonly requestId: string
  constructor(code: string, status: number, requestId: string) {
    super(`Revento answered ${code}`)
    this.name = 'ApiError'
    this.code = code
    this.status = status
    this.requestId = requestId
  }
}

export interface PageRequest {
  /** Opaque: the `next_cursor` of the page before. */
  readonly cursor?: string | undefined
  /** Rows a page, 1 to 50. */
  readonly limit?: number | undefined
}

/** What a handler may ask about its event. */
export interface EventApi {
  event(): Promise<Record<string, unknown>>
  participants(page?: PageRequest): Promise<Page>
  /** Every participant, page after page. */
  allParticipants(): AsyncIterable<Record<string, unknown>>
}

/** Runs a call with an access token that is alive; see oauth/access-token. */
export type WithAccessToken = <T>(call: (accessToken: string) => Promise<T>) => Promise<T>

export interface ApiClient {
  forEvent(eventId: string, withAccessToken: WithAccessToken): EventApi
}

export interface ApiLog {
  info(fields: object, message: string): void
}

const MAX_PAGES = 1000

export function createApiClient(
  o: { apiBase: string; dispatcher: Dispatcher; log: ApiLog },
  runtime: Runtime,
): ApiClient {
  /** One attempt: a fresh request id, which Revento echoes, in the log of both sides. */
  async function get(accessToken: string, path: string, query: Record<string, string>): Promise<unknown> {
    const requestId = runtime.uuid()
    const startedAt = runtime.now()
    const done = (status: number, code?: string) =>
      o.log.info(
        { part: 'api', path, status, code, revento_request_id: requestId, ms: runtime.now() - startedAt },
        'Revento API call',
      )
    const search = new URLSearchParams(query).toString()
    let answer: HttpAnswer
    try {
      answer = await exchange(o.dispatcher, `${o.apiBase}${path}${search ? `?${search}` : ''}`, {
        method: 'GET',
        headers: {
          authorization: `Bearer ${accessToken}`,
          accept: ACCEPT,
          [REQUEST_ID_HEADER]: requestId,
        },
      })
    } catch (error) {
      const code = classifyFailure(error) === 'timeout' ? 'upstream_timeout' : 'upstream_error'
      done(0, code)
      throw new ApiError(code, 0, requestId)
    }
    const result = judge(answer)
    done(answer.status, 'code' in result ? result.code : undefined)
    if ('code' in result) throw new ApiError(result.code, answer.status, requestId)
    return result.body
  }

  return {
    forEvent(eventId, withAccessToken) {
      if (!ID.test(eventId)) throw new ApiError('invalid_event_id', 0, '')
      const path = `/events/${eventId}`
      const participants = (page: PageRequest = {}) =>
        withAccessToken(async token => readPage(await get(token, `${path}/participants`, pageQuery(page))))
      return {
        event: () => withAccessToken(async token => readRow(await get(token, path, {}))),
        participants,
        allParticipants: () => allPages(participants),
      }
    },
  }
}

/** Pure: what an answer means. The message text is never looked at. */
export function judge({ status, text }: HttpAnswer): { body: unknown } | { code: string } {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return { code: 'upstream_error' }
  }
  if (status === 200) return { body }
  const code = typeof body === 'object' && body !== null && 'error' in body ? body.error : undefined
  return { code: typeof code === 'string' && /^[a-z_]{1,64}$/.test(code) ? code : 'upstream_error' }
}

function pageQuery({ cursor, limit }: PageRequest): Record<string, string> {
  const bounded = limit === undefined ? undefined : Math.min(Math.max(Math.trunc(limit), 1), PAGE_LIMIT.max)
  return {
    ...(bounded === undefined ? {} : { limit: String(bounded) }),
    ...(cursor === undefined ? {} : { cursor }),
  }
}

async function* allPages(page: (p: PageRequest) => Promise<Page>): AsyncGenerator<Record<string, unknown>> {
  let cursor: string | undefined
  for (let n = 0; n < MAX_PAGES; n++) {
    const { data, has_more, next_cursor } = await page({ cursor, limit: PAGE_LIMIT.max })
    yield* data
    if (!has_more || next_cursor === null) return
    if (next_cursor === cursor) throw new ApiError('upstream_error', 200, '')
    cursor = next_cursor
  }
}

const isRow = (v: unknown): v is Record<string, unknown> =>
  typeof v === 'object' && v !== null && !Array.isArray(v)

function readRow(body: unknown): Record<string, unknown> {
  if (!isRow(body)) throw new ApiError('upstream_error', 200, '')
  return body
}

/** Only these three members are documented; rows pass as they are. */
function readPage(body: unknown): Page {
  const page = readRow(body)
  const { data, next_cursor = null, has_more } = page
  if (!Array.isArray(data) || !data.every(isRow) || typeof has_more !== 'boolean')
    throw new ApiError('upstream_error', 200, '')
  if (next_cursor !== null && typeof next_cursor !== 'string') throw new ApiError('upstream_error', 200, '')
  return { ...page, data, next_cursor, has_more }
}
