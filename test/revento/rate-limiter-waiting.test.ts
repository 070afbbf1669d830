import { describe, expect, test } from 'vitest'
import { type Answer, emptyPage, json } from '../helpers/upstream.ts'
import { manualClock, play, quiet, startApi, times } from './api-harness.ts'

const LIMITED = { code: 'rate_budget_used', status: 0 }

/** Uses up the minute, so that there is room again after 60 s. */
async function usedUp() {
  const started = await startApi(manualClock())
  await Promise.all(times(30, () => started.api.participants()))
  started.upstream.requests.length = 0
  return started
}

describe('patience', () => {
  test('a wait that is known to be longer is told at once, with how long it is', async () => {
    const { upstream, clock, as } = await usedUp()
    clock.advance(10_000)
    await expect(as({ patienceMs: 2_000 }).participants()).rejects.toMatchObject({
      ...LIMITED,
      retryAfterMs: 50_000,
    })
    expect(upstream.requests).toEqual([])
    expect(clock.sleepers()).toEqual([])
  })

  test('a wait that just fits is waited for', async () => {
    const { upstream, clock, as } = await usedUp()
    const call = as({ patienceMs: 60_000 }).participants()
    await quiet(upstream)
    clock.advance(60_000)
    expect(await call).toEqual(emptyPage)
  })

  test('who stands further back in the line is told by the place in the line', async () => {
    const { clock, api, as } = await usedUp()
    const before = times(30, () => api.participants())
    await expect(as({ patienceMs: 119_999 }).participants()).rejects.toMatchObject({
      ...LIMITED,
      retryAfterMs: 120_000,
    })
    clock.advance(60_000)
    await Promise.all(before)
  })

  test('a place that does not become free in time is told then', async () => {
    const { upstream, clock, api, as } = await startApi(manualClock())
    const held: (() => void)[] = []
    upstream.onApi = (request, response) => void held.push(() => json(200, emptyPage)(request, response))
    const busy = times(5, () => api.participants())
    await quiet(upstream)
    const call = as({ patienceMs: 2_000 }).participants()
    const told = expect(call).rejects.toMatchObject(LIMITED)
    clock.advance(1_999)
    await quiet(upstream)
    clock.advance(1)
    await told
    for (const answer of held) answer()
    await Promise.all(busy)
    expect(upstream.requests).toHaveLength(5)
  })

  test('a Retry-After that comes while somebody waits is told at once to who cannot wait so long', async () => {
    const { upstream, clock, api, as } = await startApi(manualClock())
    const held: ((answer: Answer) => void)[] = []
    upstream.onApi = (request, response) => void held.push(answer => answer(request, response))
    const busy = times(5, () => api.participants())
    await quiet(upstream)
    const told = expect(as({ patienceMs: 2_000 }).participants()).rejects.toMatchObject({
      ...LIMITED,
      retryAfterMs: 30_000,
    })
    held.shift()?.(json(429, { error: 'rate_limit_exceeded' }, { 'retry-after': '30' }))
    await told
    upstream.onApi = json(200, emptyPage)
    for (const answer of held) answer(json(200, emptyPage))
    await play(clock, upstream, busy)
    expect(await Promise.all(busy)).toHaveLength(5)
  })

  test('the one that was answered 429 keeps that answer and its request id', async () => {
    const { upstream, as } = await startApi(manualClock())
    upstream.onApi = json(429, { error: 'rate_limit_exceeded' }, { 'retry-after': '30' })
    await expect(as({ patienceMs: 2_000 }).participants()).rejects.toMatchObject({
      code: 'rate_limit_exceeded',
      status: 429,
      retryAfterMs: 30_000,
      requestId: upstream.requests[0]?.headers['x-revento-request-id'] ?? expect.any(String),
    })
    expect(upstream.requests).toHaveLength(1)
  })
})

describe('a caller that goes away', () => {
  test('while it waits for the budget leaves the line with its own reason, and uses nothing', async () => {
    const { upstream, clock, api, as } = await usedUp()
    const leaving = new AbortController()
    const gone = times(20, () => as({ signal: leaving.signal }).participants())
    const stays = times(30, () => api.participants())
    const reason = new Error('time is up')
    leaving.abort(reason)
    for (const result of await Promise.allSettled(gone)) expect(result).toMatchObject({ reason })
    clock.advance(60_000)
    await Promise.all(stays)
    expect(upstream.requests).toHaveLength(30)
    expect(clock.sleepers()).toEqual([])
  })

  test('while it waits for a place frees nothing that it did not have', async () => {
    const { upstream, api, as } = await startApi(manualClock())
    const held: (() => void)[] = []
    upstream.onApi = (request, response) => void held.push(() => json(200, emptyPage)(request, response))
    const busy = times(5, () => api.participants())
    await quiet(upstream)
    const leaving = new AbortController()
    const gone = as({ signal: leaving.signal }).participants()
    leaving.abort(new Error('left'))
    await expect(gone).rejects.toThrow('left')
    const next = api.participants()
    await quiet(upstream)
    expect(upstream.requests).toHaveLength(5)
    for (const answer of held.splice(0)) answer()
    await Promise.all(busy)
    await quiet(upstream)
    for (const answer of held) answer()
    await next
  })

  test('before it began sends nothing, and does not stand in line', async () => {
    const { upstream, as } = await usedUp()
    await expect(as({ signal: AbortSignal.abort(new Error('left')) }).event()).rejects.toThrow('left')
    expect(upstream.requests).toEqual([])
  })
})

test('a connection that cannot be used costs no budget', async () => {
  const { upstream, clock, api, as } = await startApi(manualClock())
  const withAccessToken = () => Promise.reject(new Error('re-consent'))
  for (let n = 0; n < 40; n++) await expect(as({ withAccessToken }).event()).rejects.toThrow('re-consent')
  await Promise.all(times(30, () => api.participants()))
  expect(upstream.requests).toHaveLength(30)
  expect(clock.sleepers()).toEqual([])
})

test('who waited in line gets the token as it is then: one expiry costs five requests', async () => {
  const { upstream, clock, as } = await startApi(manualClock())
  let token = 'old'
  let refreshes = 0
  let refreshing: Promise<void> | undefined
  const refresh = () => {
    refreshing ??= quiet(upstream).then(() => {
      refreshes += 1
      token = 'fresh'
    })
    return refreshing
  }
  const api = as({
    withAccessToken: call => call(token).catch(() => refresh().then(() => call(token))),
  })
  upstream.onApi = (request, response) => {
    const live = request.headers.authorization === 'Bearer fresh'
    const answer = live ? json(200, emptyPage) : json(401, { error: 'token_expired' })
    answer(request, response)
  }
  await play(
    clock,
    upstream,
    times(100, () => api.participants()),
  )
  const old = upstream.requests.filter(r => r.headers.authorization === 'Bearer old')
  expect([old.length, refreshes, upstream.requests.length]).toEqual([5, 1, 105])
})
