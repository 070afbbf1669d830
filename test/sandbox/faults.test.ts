import { get, type IncomingMessage } from 'node:http'
import { describe, expect, test } from 'vitest'
import { FAULTS } from '../../src/sandbox/faults/fault-table.ts'
import {
  api,
  call,
  code,
  connect,
  EVENT,
  exchange,
  post,
  refresh,
  type Started,
  start,
  until,
} from './harness.ts'

type Row = Record<string, unknown>
const begin = (sandbox: Started, name: string, term: Row = { count: 1 }) =>
  post(sandbox, '/console/api/faults', { name, ...term })
const event = (sandbox: Started, access: string) => api(sandbox, access, `/events/${EVENT}`)
const isCut = (promise: Promise<unknown>) =>
  promise.then(
    () => false,
    (err: { code?: string }) => err.code === 'UND_ERR_SOCKET',
  )

async function fault({ url }: Started, name: string): Promise<Row | undefined> {
  const { json } = await call(`${url}/console/api/faults`)
  return (json['data'] as Row[]).find(row => row['name'] === name)
}

describe('at the token endpoint', () => {
  test.each([
    ['token_500', 500, 'server_error'],
    ['token_invalid_client', 401, 'invalid_client'],
  ])('%s answers %i %s and spends nothing', async (name, status, error) => {
    const sandbox = await start()
    const tokens = await connect(sandbox)
    await begin(sandbox, name)
    const answer = await refresh(sandbox, tokens.refresh)
    expect([answer.status, answer.json]).toEqual([status, { error }])
    expect(answer.headers['cache-control']).toBe('no-store')
    expect((await refresh(sandbox, tokens.refresh)).status).toBe(200)
    const { json } = await call(`${sandbox.url}/console/api/token-requests`)
    expect((json['data'] as Row[]).map(({ outcome }) => outcome)).toEqual(['issued', name, 'issued'])
  })

  test('token_dropped processes the request and sends no byte', async () => {
    const sandbox = await start()
    const tokens = await connect(sandbox)
    await begin(sandbox, 'token_dropped')
    expect(await isCut(refresh(sandbox, tokens.refresh))).toBe(true)
    expect((await refresh(sandbox, tokens.refresh)).json['error']).toBe('invalid_grant')
    expect((await event(sandbox, tokens.access)).json['error']).toBe('token_revoked')
  })

  test('token_dropped loses the answer to a code as well', async () => {
    const sandbox = await start()
    const used = await code(sandbox)
    await begin(sandbox, 'token_dropped')
    expect(await isCut(exchange(sandbox, used))).toBe(true)
    expect((await exchange(sandbox, used)).json['error']).toBe('invalid_grant')
  })

  test('token_slow answers after five seconds and not before', async () => {
    const sandbox = await start()
    const tokens = await connect(sandbox)
    await begin(sandbox, 'token_slow')
    const sleeping = sandbox.runtime.sleeping
    let isAnswered = false
    const answer = refresh(sandbox, tokens.refresh).finally(() => {
      isAnswered = true
    })
    await until(() => sandbox.runtime.sleeping === sleeping + 1)
    sandbox.runtime.advance(4999)
    await call(`${sandbox.url}/`)
    expect(isAnswered).toBe(false)
    sandbox.runtime.advance(1)
    expect((await answer).status).toBe(200)
  })
})

describe('at the API', () => {
  test.each([
    ['api_expired', 401, 'token_expired', undefined],
    ['api_revoked', 401, 'token_revoked', undefined],
    ['api_rate_limited', 429, 'rate_limit_exceeded', '3'],
    ['api_concurrent', 429, 'concurrent_limit_exceeded', undefined],
    ['api_500', 500, 'internal_error', undefined],
  ])('%s answers %i %s in the envelope, once', async (name, status, error, retryAfter) => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    await begin(sandbox, name)
    const id = crypto.randomUUID()
    const answer = await api(sandbox, access, `/events/${EVENT}`, { 'x-revento-request-id': id })
    expect([answer.status, answer.json['error'], answer.json['request_id']]).toEqual([status, error, id])
    expect(answer.headers['retry-after']).toBe(retryAfter)
    expect(Object.keys(answer.json)).toEqual(['error', 'message', 'request_id'])
    expect((await event(sandbox, access)).status).toBe(200)
  })

  test('api_rate_limited tells that nothing remains for three seconds', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    await begin(sandbox, 'api_rate_limited')
    const { headers } = await event(sandbox, access)
    expect(headers['x-ratelimit-remaining']).toBe('0')
    expect(Number(headers['x-ratelimit-reset'])).toBe(sandbox.runtime.now() / 1000 + 3)
  })

  test('api_truncated sends half of what it promised', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    const whole = (await event(sandbox, access)).text
    await begin(sandbox, 'api_truncated')
    const headers = { authorization: `Bearer ${access}` }
    const answer = await new Promise<IncomingMessage>(resolve =>
      get(`${sandbox.url}/api/v1/events/${EVENT}`, { headers }, resolve),
    )
    let got = ''
    answer.on('data', chunk => {
      got += String(chunk)
    })
    await expect(
      new Promise((resolve, reject) => answer.on('end', resolve).on('error', reject)),
    ).rejects.toThrow('aborted')
    expect([answer.statusCode, Number(answer.headers['content-length'])]).toEqual([200, whole.length])
    expect(got.length).toBeGreaterThan(0)
    expect(whole.startsWith(got)).toBe(true)
    expect(got.length).toBeLessThan(whole.length)
    expect((await event(sandbox, access)).text).toBe(whole)
  })

  test('api_slow answers after five seconds', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    await begin(sandbox, 'api_slow')
    const sleeping = sandbox.runtime.sleeping
    const answer = event(sandbox, access)
    await until(() => sandbox.runtime.sleeping === sleeping + 1)
    sandbox.runtime.advance(5000)
    expect((await answer).status).toBe(200)
  })

  test('the sandbox closes within a second though a slow answer waits', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    await begin(sandbox, 'api_slow')
    const sleeping = sandbox.runtime.sleeping
    const answer = isCut(event(sandbox, access))
    await until(() => sandbox.runtime.sleeping === sleeping + 1)
    const before = performance.now()
    await sandbox.close()
    expect(performance.now() - before).toBeLessThan(1000)
    expect(await answer).toBe(true)
    await until(() => sandbox.runtime.sleeping === 0)
  })
})

describe('terms', () => {
  test('a count is used up by that many requests, at its own door only', async () => {
    const sandbox = await start()
    const tokens = await connect(sandbox)
    expect((await begin(sandbox, 'api_500', { count: 2 })).json).toMatchObject({ left: 2, until: null })
    expect((await refresh(sandbox, tokens.refresh)).status).toBe(200)
    const statuses: number[] = []
    for (let n = 0; n < 3; n++) statuses.push((await event(sandbox, tokens.access)).status)
    expect(statuses).toEqual([500, 500, 200])
    expect(await fault(sandbox, 'api_500')).toMatchObject({ active: null, struck: 2 })
  })

  test('a duration ends by itself', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    await begin(sandbox, 'api_500', { seconds: 60 })
    for (let n = 0; n < 5; n++) expect((await event(sandbox, access)).status).toBe(500)
    sandbox.runtime.advance(59_999)
    expect((await event(sandbox, access)).status).toBe(500)
    sandbox.runtime.advance(1)
    expect(await fault(sandbox, 'api_500')).toMatchObject({ active: null })
    expect((await event(sandbox, access)).status).toBe(200)
  })

  test('of several faults the one that was started first strikes', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    await begin(sandbox, 'api_expired')
    await begin(sandbox, 'api_500')
    const codes = [await event(sandbox, access), await event(sandbox, access)].map(a => a.json['error'])
    expect(codes).toEqual(['token_expired', 'internal_error'])
  })

  test('one fault can be ended, or all', async () => {
    const sandbox = await start()
    for (const name of ['api_500', 'api_slow', 'token_500']) await begin(sandbox, name)
    expect((await post(sandbox, '/console/api/faults/clear', { name: 'api_slow' })).json).toEqual({
      cleared: 1,
    })
    expect((await post(sandbox, '/console/api/faults/clear')).json).toEqual({ cleared: 2 })
    expect((await event(sandbox, (await connect(sandbox)).access)).status).toBe(200)
  })

  test.each([
    [{ name: 'no_such_day', count: 1 }, 404],
    [{ name: 'constructor', count: 1 }, 404],
    [{ name: 'api_500' }, 400],
    [{ name: 'api_500', count: 1, seconds: 1 }, 400],
    [{ name: 'api_500', count: 0 }, 400],
    [{ name: 'api_500', count: 1001 }, 400],
    [{ name: 'api_500', seconds: 86_401 }, 400],
    [{ name: 'api_500', amount: 1, unit: 'for ever' }, 400],
    [{ name: 'webhook_burst', count: 1, size: 201 }, 400],
    [{ name: ['api_500'], count: 1 }, 400],
  ])('%j is refused and starts nothing', async (body, status) => {
    const sandbox = await start()
    expect((await post(sandbox, '/console/api/faults', body)).status).toBe(status)
    const { json } = await call(`${sandbox.url}/console/api/faults`)
    expect((json['data'] as Row[]).filter(({ active }) => active)).toEqual([])
  })
})

test('a name that no fault has is answered with those that there are, with or without a term', async () => {
  const sandbox = await start()
  for (const body of [{ name: 'api_5000', count: 1 }, { name: 'api_5000' }, {}]) {
    const { status, json } = await post(sandbox, '/console/api/faults', body)
    expect([status, json['error']]).toEqual([404, 'unknown_fault'])
    for (const { name } of FAULTS) expect(json['message']).toContain(name)
    expect(json['message']).not.toContain('api_5000')
  }
  const { json } = await post(sandbox, '/console/api/faults', { name: 'api_500' })
  expect(json).toMatchObject({ error: 'invalid_term', message: expect.stringContaining('count') })
})

test('every fault has a name of its own, and says what it does and what a good app does', () => {
  expect(new Set(FAULTS.map(({ name }) => name)).size).toBe(FAULTS.length)
  for (const { name, door, title, what, good, effect } of FAULTS) {
    expect(name.startsWith(`${door}_`)).toBe(true)
    expect([title, what, good].every(text => text.length > 8)).toBe(true)
    expect(Object.keys(effect).length).toBeGreaterThan(0)
  }
})
