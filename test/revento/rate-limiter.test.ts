import { describe, expect, test } from 'vitest'
import { createLimiters } from '../../src/revento/api.ts'
import { testBudgets } from '../helpers/budgets.ts'
import { type Answer, emptyPage, json } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { CONNECTION, manualClock, mostWithin, play, quiet, startApi, times, watch } from './api-harness.ts'

const MINUTE = 60_000
const HOUR = 3_600_000

test('of 100 callers at once, 5 are in flight at the platform, and all are served', async () => {
  const { upstream, clock, api } = await startApi(manualClock())
  const watched = watch(upstream, clock)
  const calls = times(100, () => api.participants())
  await play(clock, upstream, calls)
  expect(await Promise.all(calls)).toEqual(times(100, () => emptyPage))
  expect(watched.mostInFlight).toBe(5)
})

test('the 31st request waits until the first has left the minute, not a millisecond less', async () => {
  const { upstream, clock, api } = await startApi(manualClock())
  const calls = times(31, () => api.participants())
  await quiet(upstream)
  expect(upstream.requests).toHaveLength(30)
  clock.advance(MINUTE - 1)
  const late = api.participants()
  await quiet(upstream)
  expect(upstream.requests).toHaveLength(30)
  clock.advance(1)
  await Promise.all([...calls, late])
  expect(upstream.requests).toHaveLength(32)
})

test('no burst over the edge of a minute: 15 early and 15 late leave room for 15', async () => {
  const { upstream, clock, api } = await startApi(manualClock())
  await Promise.all(times(15, () => api.participants()))
  clock.advance(MINUTE - 1_000)
  await Promise.all(times(15, () => api.participants()))
  const rest = times(30, () => api.participants())
  clock.advance(1_000)
  await quiet(upstream)
  expect(upstream.requests).toHaveLength(45)
  clock.advance(MINUTE - 1_001)
  await quiet(upstream)
  expect(upstream.requests).toHaveLength(45)
  clock.advance(1)
  await Promise.all(rest)
})

test('560 calls: 30 in any minute and 500 in any hour, and no slower than that', async () => {
  const clock = manualClock()
  const startedAt = clock.now()
  const limiter = createLimiters(await testBudgets(), clock).of(CONNECTION)
  const at: number[] = []
  const send = async () => void at.push(clock.now() - startedAt)
  const calls = times(560, () =>
    limiter.run({ deadline: Number.POSITIVE_INFINITY }, place => place.send(send)),
  )
  await until(() => {
    const [next = 0] = clock.sleepers()
    if (next > 0) clock.advance(Math.min(...clock.sleepers()))
    return at.length === 560
  })
  await Promise.all(calls)
  expect(mostWithin(at, MINUTE)).toBe(30)
  expect(mostWithin(at, HOUR)).toBe(500)
  expect([at[29], at[30], at[499], at[500]]).toEqual([0, MINUTE, 16 * MINUTE, HOUR])
})

test('connections do not share: another one, also of the same event, is free', async () => {
  const { upstream, clock, api, as } = await startApi(manualClock())
  const calls = times(40, () => api.participants())
  await quiet(upstream)
  await as({ connection: { ...CONNECTION, organizationId: 'org_2' } }).participants()
  await as({ connection: { ...CONNECTION, eventId: 'evt_2' } }).participants()
  expect(upstream.requests).toHaveLength(32)
  await play(clock, upstream, calls)
})

describe('what the platform tells', () => {
  const left = (remaining: number, resetAt: number) => ({
    'x-ratelimit-limit': '500',
    'x-ratelimit-remaining': String(remaining),
    'x-ratelimit-reset': String(resetAt / 1000),
  })

  test('nothing left: nothing is sent before the reset', async () => {
    const { upstream, clock, api } = await startApi(manualClock())
    upstream.onApi = json(200, emptyPage, left(0, clock.now() + 20_000))
    await api.participants()
    upstream.onApi = json(200, emptyPage)
    const waiting = times(3, () => api.participants())
    clock.advance(19_999)
    await quiet(upstream)
    expect(upstream.requests).toHaveLength(1)
    clock.advance(1)
    await Promise.all(waiting)
  })

  test('two left: never more than two unanswered', async () => {
    const { upstream, clock, api } = await startApi(manualClock())
    const resetAt = clock.now() + 20_000
    upstream.onApi = json(200, emptyPage, left(2, resetAt))
    await api.participants()
    const watched = watch(upstream, clock)
    await Promise.all(times(2, () => api.participants()))
    expect(watched.mostInFlight).toBe(2)
  })

  test('an answer that was overtaken does not raise the count', async () => {
    const { upstream, clock, api } = await startApi(manualClock())
    const resetAt = clock.now() + 20_000
    for (const remaining of [1, 4]) {
      upstream.onApi = json(200, emptyPage, left(remaining, resetAt))
      await api.participants()
    }
    const watched = watch(upstream, clock)
    const calls = times(3, () => api.participants())
    await play(clock, upstream, calls)
    expect(watched.mostInFlight).toBe(1)
  })

  test('nothing left of one window stays so when a later answer speaks of another', async () => {
    const { upstream, clock, api } = await startApi(manualClock())
    const held: ((answer: Answer) => void)[] = []
    upstream.onApi = (request, response) => void held.push(answer => answer(request, response))
    const calls = times(2, () => api.participants())
    await quiet(upstream)
    for (const [remaining, ms] of [
      [0, 20_000],
      [9, 40_000],
    ] as const) {
      held.shift()?.(json(200, emptyPage, left(remaining, clock.now() + ms)))
      await quiet(upstream)
    }
    await Promise.all(calls)
    upstream.onApi = json(200, emptyPage)
    const call = api.participants()
    clock.advance(19_999)
    await quiet(upstream)
    expect(upstream.requests).toHaveLength(2)
    clock.advance(1)
    await call
  })

  test('a reset later than any window is a slip and holds for an hour at most', async () => {
    const { upstream, clock, api } = await startApi(manualClock())
    upstream.onApi = json(200, emptyPage, left(0, clock.now() * 1000))
    await api.participants()
    const call = api.participants()
    await quiet(upstream)
    expect(upstream.requests).toHaveLength(1)
    clock.advance(HOUR)
    await call
  })

  test.for([
    ['120', 120_000],
    ['3600', 3_600_000],
    // No delay that can be meant: at most an hour.
    ['86400', 3_600_000],
    ['Sat, 09 May 2026 12:05:00 GMT', 300_000],
  ] as const)('Retry-After: %s is obeyed by every caller of the connection', async ([value, ms]) => {
    const { upstream, clock, api } = await startApi(manualClock())
    const limited = { error: 'rate_limit_exceeded', message: 'wait', request_id: 'x' }
    upstream.onApi = json(429, limited, { 'retry-after': value, ...left(0, clock.now() + 1_000) })
    const first = api.participants()
    await quiet(upstream)
    upstream.onApi = json(200, emptyPage)
    const others = times(3, () => api.event())
    for (let passed = 0; passed < ms - 1; passed += Math.min(HOUR, ms - 1 - passed)) {
      clock.advance(Math.min(HOUR, ms - 1 - passed))
      await quiet(upstream)
    }
    expect(upstream.requests).toHaveLength(1)
    clock.advance(1)
    await Promise.all([first, ...others])
    expect(upstream.requests).toHaveLength(5)
  })

  test('429 without Retry-After holds until the reset', async () => {
    const { upstream, clock, api } = await startApi(manualClock())
    upstream.onApi = json(429, { error: 'rate_limit_exceeded' }, left(0, clock.now() + 7_000))
    const call = api.participants()
    await quiet(upstream)
    upstream.onApi = json(200, emptyPage)
    clock.advance(6_999)
    await quiet(upstream)
    expect(upstream.requests).toHaveLength(1)
    clock.advance(1)
    await call
  })

  test('a full house (429 without Retry-After) is asked again within a second, and stops nobody else', async () => {
    const { upstream, clock, api } = await startApi(manualClock())
    upstream.onApi = json(429, { error: 'concurrent_limit_exceeded' }, left(400, clock.now() + HOUR))
    const call = api.participants()
    await quiet(upstream)
    upstream.onApi = json(200, emptyPage)
    await api.event()
    expect(upstream.requests).toHaveLength(2)
    const [pauseMs = 0] = clock.sleepers()
    expect(pauseMs).toBeGreaterThanOrEqual(150)
    expect(pauseMs).toBeLessThanOrEqual(300)
    clock.advance(pauseMs)
    expect(await call).toEqual(emptyPage)
  })
})

test('limiters that nobody needs are dropped; one that was used within the hour is kept', async () => {
  const clock = manualClock()
  const limiters = createLimiters(await testBudgets(), clock)
  const used = limiters.of(CONNECTION)
  await used.run({ deadline: Number.POSITIVE_INFINITY }, place => place.send(async () => 'sent'))
  clock.advance(HOUR - MINUTE)
  expect(limiters.of(CONNECTION)).toBe(used)
  await until(() => {
    clock.advance(2 * MINUTE)
    return limiters.of(CONNECTION) !== used
  })
})
