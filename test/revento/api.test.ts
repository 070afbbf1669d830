import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ApiError, createApiClient, judge } from '../../src/revento/api.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import { testBudgets } from '../helpers/budgets.ts'
import { testRuntime } from '../helpers/runtime.ts'
import { type Answer, emptyPage, json, startUpstream } from '../helpers/upstream.ts'
import { CONNECTION } from './api-harness.ts'

async function start() {
  const upstream = await startUpstream()
  const outgoing = createOutgoing()
  onTestFinished(async () => {
    await outgoing.close()
    await upstream.close()
  })
  const log: object[] = []
  const client = createApiClient(
    {
      ...(await testBudgets()),
      apiBase: upstream.apiBase,
      dispatcher: outgoing.api,
      log: { info: fields => void log.push(fields), warn: fields => void log.push(fields), error() {} },
    },
    testRuntime(),
  )
  return {
    upstream,
    client,
    log,
    api: client.forEvent(CONNECTION, call => call('token-1'), { patienceMs: 2_000 }),
  }
}

async function all<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const row of rows) list.push(row)
  return list
}

describe('every participant', () => {
  test('every participant is read page by page with the cursor as given, until has_more is false', async () => {
    const { upstream, api } = await start()
    const pages = [
      { data: [{ n: 1 }, { n: 2 }], next_cursor: 'a=b&c', has_more: true },
      { data: [], next_cursor: 'third', has_more: true },
      { data: [{ n: 3 }], next_cursor: 'not-to-be-followed', has_more: false },
    ]
    upstream.onApi = (request, response) => json(200, pages.shift())(request, response)
    expect(await all(api.allParticipants())).toEqual([{ n: 1 }, { n: 2 }, { n: 3 }])
    expect(upstream.apiRequests().map(r => Object.fromEntries(r.query))).toEqual([
      { limit: '50' },
      { limit: '50', cursor: 'a=b&c' },
      { limit: '50', cursor: 'third' },
    ])
  })

  test('participants are not looked for in a circle', async () => {
    const { upstream, api } = await start()
    upstream.onApi = json(200, { data: [{ n: 1 }], next_cursor: 'same', has_more: true })
    await expect(all(api.allParticipants())).rejects.toMatchObject({ code: 'upstream_error' })
    expect(upstream.requests).toHaveLength(2)
  })
})

test('a limit is bounded by the documented page size', async () => {
  const { upstream, api } = await start()
  for (const limit of [-5, 0, 7.9, 51, 1e9]) await api.participants({ limit })
  expect(upstream.apiRequests().map(r => r.query.get('limit'))).toEqual(['1', '1', '7', '50', '50'])
})

test('an event comes as it is; anything but an object is refused', async () => {
  const { upstream, api } = await start()
  upstream.onApi = json(200, { id: 'evt_1', title: 'T', unknown: [1] })
  expect(await api.event()).toEqual({ id: 'evt_1', title: 'T', unknown: [1] })
  expect(upstream.apiRequests()[0]?.path).toBe('/api/v1/events/evt_1')
  for (const body of [null, [], 'x', 5]) {
    upstream.onApi = json(200, body)
    await expect(api.event()).rejects.toBeInstanceOf(ApiError)
  }
})

test('an id that could leave its path never becomes a request', async () => {
  const { upstream, client } = await start()
  const id = fc.oneof(
    fc.string(),
    fc.constantFrom('..', '.', '../x', 'a/b', 'a?b', 'a#b', '%2e%2e', 'a\\b', ''),
  )
  await fc.assert(
    fc.asyncProperty(id, async eventId => {
      if (/^[A-Za-z0-9_-]{1,128}$/.test(eventId)) return
      const api = client.forEvent({ eventId, organizationId: 'o' }, call => call('t'), { patienceMs: 0 })
      await expect(api.event()).rejects.toThrow(ApiError)
    }),
  )
  expect(upstream.requests).toEqual([])
})

test('a redirect is not followed', async () => {
  const { upstream, api } = await start()
  upstream.onApi = json(302, {}, { location: `${upstream.authBase}/elsewhere` })
  await expect(api.participants()).rejects.toMatchObject({ code: 'upstream_error', status: 302 })
  expect(upstream.requests).toHaveLength(1)
})

const compressed =
  (encoding: string, compress: (body: string) => Buffer): Answer =>
  (_request, response) =>
    void response
      .writeHead(200, { 'content-type': 'application/json', 'content-encoding': encoding })
      .end(compress(JSON.stringify(emptyPage)))

test.for<[string, (body: string) => Buffer]>([
  ['gzip', gzipSync],
  ['X-Gzip', gzipSync],
  ['deflate', deflateSync],
  ['br', brotliCompressSync],
  ['zstd', zstdCompressSync],
  // Said of a body that is as it was.
  ['gzip', Buffer.from],
  ['aws-chunked', Buffer.from],
])('identity is asked for, and %s is read all the same', async ([encoding, compress]) => {
  const { upstream, api } = await start()
  upstream.onApi = compressed(encoding, compress)
  expect(await api.participants()).toEqual(emptyPage)
  expect(upstream.requests.map(r => r.headers['accept-encoding'])).toEqual(['identity'])
})

test.for([
  ['compress', 'unknown_content_encoding'],
  ['deflate, gzip', 'unknown_content_encoding'],
  ['gzip', 'broken_content_encoding'],
] as const)('an answer in %s that cannot be read is told as %s', async ([encoding, reason]) => {
  const { upstream, client, log } = await start()
  const api = client.forEvent(CONNECTION, call => call('token-1'), { patienceMs: 0 })
  upstream.onApi = compressed(encoding, body => Buffer.from(`\x1f\x9d${body}`, 'latin1'))
  await expect(api.participants()).rejects.toMatchObject({ code: 'upstream_error', status: 0 })
  expect(log).toMatchObject([{ status: 0, reason }])
})

test('an answer beyond 1 MiB is given up', async () => {
  const { upstream, api } = await start()
  upstream.onApi = json(200, { ...emptyPage, filling: 'x'.repeat(1024 * 1024) })
  await expect(api.participants()).rejects.toMatchObject({ code: 'answer_too_large', status: 0 })
})

test('the log line of a call has its path, status and request id; no token, no query, no row', async () => {
  const { upstream, api, log } = await start()
  upstream.onApi = json(200, { ...emptyPage, data: [{ name: 'row-canary' }] })
  await api.participants({ cursor: 'cursor-canary' })
  expect(log).toEqual([
    {
      part: 'api',
      path: '/events/evt_1/participants',
      status: 200,
      code: undefined,
      revento_request_id: upstream.apiRequests()[0]?.headers['x-revento-request-id'],
      ms: expect.any(Number),
    },
  ])
})

describe('an answer is judged by status and code, never by its words', () => {
  test.for<[number, string, object]>([
    [200, '{"a":1}', { body: { a: 1 } }],
    [200, '', { code: 'upstream_error' }],
    [200, '<html>', { code: 'upstream_error' }],
    [201, '{}', { code: 'upstream_error' }],
    [401, '{"error":"token_expired"}', { code: 'token_expired' }],
    [401, '{"error":"no","message":"token_expired"}', { code: 'no' }],
    [401, '{"error":{"code":"token_expired"}}', { code: 'upstream_error' }],
    [401, '{"error":"Token Expired <b>"}', { code: 'upstream_error' }],
    [500, 'null', { code: 'upstream_error' }],
    [500, '["error"]', { code: 'upstream_error' }],
  ])('%i %s', ([status, text, verdict]) => {
    expect(judge({ status, text, headers: {} })).toEqual(verdict)
  })

  test('whatever it is, it is judged', () => {
    fc.assert(
      fc.property(fc.integer({ min: 100, max: 599 }), fc.oneof(fc.string(), fc.json()), (status, text) => {
        const verdict = judge({ status, text, headers: {} })
        expect('body' in verdict ? status : verdict.code).toSatisfy(
          (v: unknown) => v === 200 || /^[a-z_]{1,64}$/.test(String(v)),
        )
      }),
    )
  })
})
