import { describe, expect, test } from 'vitest'
import { testRuntime } from '../helpers/runtime.ts'
import { shortTimeouts } from '../helpers/timeouts.ts'
import { type Answer, emptyPage, json, type Upstream } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { UUID } from '../oauth/harness.ts'
import { manualClock, quiet, startApi, times } from './api-harness.ts'

const good = json(200, emptyPage)
const reset: Answer = (_request, response) => void response.socket?.resetAndDestroy()
const silence: Answer = () => undefined

/** Gives one answer after the other, and then the last one for ever. */
function answers(upstream: Upstream, ...list: Answer[]): void {
  upstream.onApi = (request, response) => {
    const answer = list.length > 1 ? list.shift() : list[0]
    answer?.(request, response)
  }
}

/** The waits between attempts pass at once. */
const hurried = { ...testRuntime(), sleep: () => Promise.resolve() }

const PASSING: [string, Answer, string, number][] = [
  ['500', json(500, { error: 'internal_error' }), 'internal_error', 500],
  ['502 that is a page', (_r, response) => void response.writeHead(502).end('<html>'), 'upstream_error', 502],
  ['503', json(503, {}), 'upstream_error', 503],
  ['504', json(504, { error: 'gateway' }), 'gateway', 504],
  ['a full house', json(429, { error: 'concurrent_limit_exceeded' }), 'concurrent_limit_exceeded', 429],
  ['a reset', reset, 'upstream_error', 0],
  [
    'an answer that breaks off',
    (_r, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('{', () => response.destroy())
    },
    'upstream_error',
    0,
  ],
]

describe.for(PASSING)('%s', ([, answer, code, status]) => {
  test('twice, then an answer: the call succeeds with the third attempt', async () => {
    const { upstream, api } = await startApi(hurried)
    answers(upstream, answer, answer, good)
    expect(await api.participants()).toEqual(emptyPage)
    expect(upstream.requests).toHaveLength(3)
  })

  test('always: three attempts, then the error', async () => {
    const { upstream, api } = await startApi(hurried)
    upstream.onApi = answer
    await expect(api.participants()).rejects.toMatchObject({ name: 'ApiError', code, status })
    expect(upstream.requests).toHaveLength(3)
  })
})

test('a refused connection is tried again, and then told', async () => {
  const { upstream, api, log } = await startApi(hurried)
  await upstream.close()
  await expect(api.participants()).rejects.toMatchObject({ code: 'upstream_error', status: 0 })
  expect(log).toHaveLength(3)
})

test.for<[string, Answer, string]>([
  ...[400, 401, 403, 404, 406, 409, 410, 422].map((status): [string, Answer, string] => [
    String(status),
    json(status, { error: 'some_code', message: 'rate_limit_exceeded token_expired' }),
    'some_code',
  ]),
  ['401 invalid_token', json(401, { error: 'invalid_token' }), 'invalid_token'],
  ['302', json(302, {}, { location: '/api/v1/elsewhere' }), 'upstream_error'],
  ['307', json(307, {}, { location: '/api/v1/elsewhere' }), 'upstream_error'],
  ['200 that is no JSON', (_r, response) => void response.end('<html>'), 'upstream_error'],
  ['200 that is no page', json(200, { data: 'x' }), 'upstream_error'],
  ['more than 1 MiB', json(200, { ...emptyPage, filling: 'x'.repeat(1024 * 1024) }), 'answer_too_large'],
])('%s is asked once', async ([, answer, code]) => {
  const { upstream, api } = await startApi(hurried)
  upstream.onApi = answer
  await expect(api.participants()).rejects.toMatchObject({ name: 'ApiError', code })
  expect(upstream.requests).toHaveLength(1)
})

test('each attempt has a fresh request id; all else is the same', async () => {
  const { upstream, api, log } = await startApi(hurried)
  answers(upstream, json(500, {}), reset, good)
  await api.participants({ cursor: 'c', limit: 3 })
  const ids = upstream.requests.map(r => r.headers['x-revento-request-id'])
  expect(new Set(ids).size).toBe(3)
  for (const id of ids) expect(id).toMatch(UUID)
  expect(log.map(line => line['revento_request_id'])).toEqual(ids)
  for (const { headers, query, method } of upstream.requests) {
    expect(method).toBe('GET')
    expect(headers.authorization).toBe('Bearer token-1')
    expect(headers.accept).toBe('application/vnd.revento.v1+json')
    expect(Object.fromEntries(query)).toEqual({ cursor: 'c', limit: '3' })
  }
})

test('an echoed id is in the log where it is another than ours, and fit for a log', async () => {
  const { upstream, api, log } = await startApi(hurried)
  for (const echo of ['same', 'other-id-1', 'x'.repeat(500), undefined]) {
    upstream.onApi = (request, response) => {
      const ours = String(request.headers['x-revento-request-id'])
      const headers = echo === undefined ? {} : { 'x-revento-request-id': echo === 'same' ? ours : echo }
      json(200, emptyPage, headers)(request, response)
    }
    await api.participants()
  }
  expect(log.map(line => line['revento_echoed_id'])).toEqual([undefined, 'other-id-1', undefined, undefined])
})

test('waits between attempts grow, and are not the same for everybody', async () => {
  const waits = async (random: number) => {
    const clock = { ...manualClock(), bytes: (size: number) => Buffer.alloc(size, random) }
    const { upstream, api } = await startApi(clock)
    upstream.onApi = json(500, {})
    const failed = expect(api.participants()).rejects.toMatchObject({ status: 500 })
    const seen: number[] = []
    for (let n = 0; n < 2; n++) {
      const [ms = 0] = await until(() => clock.sleepers().length > 0 && clock.sleepers())
      seen.push(ms)
      clock.advance(ms)
    }
    await failed
    return seen
  }
  expect(await waits(0)).toEqual([250, 500])
  expect(await waits(255)).toEqual([499, 998])
})

test('a caller without the patience for the pause gets the error of its one attempt', async () => {
  const { upstream, as } = await startApi(manualClock())
  upstream.onApi = json(500, { error: 'internal_error' })
  await expect(as({ patienceMs: 249 }).participants()).rejects.toMatchObject({ code: 'internal_error' })
  expect(upstream.requests).toHaveLength(1)
})

describe('with tokens', () => {
  /** Calls as oauth/access-token does: after token_expired one refresh and one more run of the call. */
  const refreshing = () => {
    const seen = { runs: 0 }
    const withAccessToken = async <T>(call: (token: string) => Promise<T>): Promise<T> => {
      seen.runs += 1
      return call('old').catch((error: { code?: string; status?: number }) => {
        if (error.code !== 'token_expired') throw error
        seen.runs += 1
        return call('fresh')
      })
    }
    return { seen, withAccessToken }
  }
  const expired = json(401, { error: 'token_expired' })
  const failing = json(500, { error: 'internal_error' })

  test('token_expired goes through at once, and the retried call has what is left of the attempts', async () => {
    const { upstream, as } = await startApi(hurried)
    const { seen, withAccessToken } = refreshing()
    answers(upstream, failing, expired, failing, failing, good)
    await expect(as({ withAccessToken }).participants()).rejects.toMatchObject({ code: 'internal_error' })
    expect(seen.runs).toBe(2)
    expect(upstream.requests.map(r => r.headers.authorization)).toEqual([
      'Bearer old',
      'Bearer old',
      'Bearer fresh',
      'Bearer fresh',
    ])
  })

  test('a second token_expired goes to the caller', async () => {
    const { upstream, as } = await startApi(hurried)
    upstream.onApi = expired
    const { withAccessToken } = refreshing()
    await expect(as({ withAccessToken }).participants()).rejects.toMatchObject({ code: 'token_expired' })
    expect(upstream.requests).toHaveLength(2)
  })

  test('the request after a refresh is counted too, and goes before those who wait', async () => {
    const { upstream, clock, as, api } = await startApi(manualClock())
    await Promise.all(times(29, () => api.participants()))
    answers(upstream, expired, good)
    const { withAccessToken } = refreshing()
    const first = as({ withAccessToken }).participants()
    const others = times(30, () => api.participants())
    await quiet(upstream)
    expect(upstream.requests).toHaveLength(30)
    clock.advance(60_000)
    await first
    await quiet(upstream)
    expect(upstream.requests[30]?.headers.authorization).toBe('Bearer fresh')
    expect(upstream.requests).toHaveLength(60)
    clock.advance(60_000)
    await Promise.all(others)
  })
})

describe('a caller that goes away', () => {
  test('a caller that goes away ends its request, with its own reason and no second one', async () => {
    const { upstream, as, log } = await startApi(testRuntime())
    let closed = false
    upstream.onApi = (_request, response) => void response.once('close', () => (closed = true))
    const leaving = new AbortController()
    const call = as({ signal: leaving.signal }).participants()
    await quiet(upstream)
    leaving.abort(new Error('time is up'))
    await expect(call).rejects.toThrow('time is up')
    await until(() => closed)
    expect(upstream.requests).toHaveLength(1)
    expect(log).toMatchObject([{ status: 0, code: 'aborted' }])
  })

  test('a caller that goes away between two requests sends no second one', async () => {
    const { upstream, clock, as } = await startApi(manualClock())
    upstream.onApi = json(500, {})
    const leaving = new AbortController()
    const call = as({ signal: leaving.signal }).participants()
    await until(() => clock.sleepers().length > 0)
    leaving.abort(new Error('time is up'))
    await expect(call).rejects.toThrow('time is up')
    expect(upstream.requests).toHaveLength(1)
    expect(clock.sleepers()).toEqual([])
  })
})

test('no answer within 10 s: tried again only by who has the patience', async () => {
  const tolerant = await startApi(testRuntime())
  answers(tolerant.upstream, silence, good)
  const hasty = await startApi(testRuntime())
  hasty.upstream.onApi = silence
  const given = shortTimeouts(tolerant.clock, hasty.clock)
  await Promise.all([
    expect(tolerant.api.participants()).resolves.toEqual(emptyPage),
    expect(hasty.as({ patienceMs: 2_000 }).participants()).rejects.toMatchObject({
      code: 'upstream_timeout',
      status: 0,
    }),
  ])
  expect(tolerant.upstream.requests).toHaveLength(2)
  expect(hasty.upstream.requests).toHaveLength(1)
  expect(given).toEqual([10_000, 10_000, 10_000])
})
