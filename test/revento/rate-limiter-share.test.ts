import { expect, test } from 'vitest'
import type { ApiError } from '../../src/revento/api.ts'
import { SHARE } from '../../src/sync/index.ts'
import { emptyPage, json } from '../helpers/upstream.ts'
import { manualClock, mostWithin, play, startApi, times } from './api-harness.ts'

/** A caller with a share has this patience, and calls again by itself; see src/sync. */
const sharing = { share: SHARE, patienceMs: 2_000 }

test('a caller with a share leaves the rest of a minute to others', async () => {
  const { upstream, as, api, clock } = await startApi(manualClock())
  for (let n = 0; n < 20; n++) await as(sharing).participants()
  await expect(as(sharing).participants()).rejects.toMatchObject({
    code: 'rate_budget_used',
    retryAfterMs: 60_000,
  })
  await Promise.all(times(10, () => api.participants()))
  await expect(as({ patienceMs: 0 }).participants()).rejects.toMatchObject({ code: 'rate_budget_used' })
  expect(upstream.requests).toHaveLength(30)
  clock.advance(60_000)
  await as(sharing).participants()
})

test('what others have used is no part of its share, and they go first where both wait', async () => {
  const { upstream, as, api, clock } = await startApi(manualClock())
  await Promise.all(times(25, () => api.participants()))
  for (let n = 0; n < 5; n++) await as(sharing).participants()
  await expect(as(sharing).participants()).rejects.toMatchObject({ code: 'rate_budget_used' })
  upstream.requests.length = 0
  const asked: string[] = []
  const patient = as({ share: SHARE }).participants({ cursor: 'shared' })
  const others = times(25, n => api.participants({ cursor: `other ${n}` }))
  await play(clock, upstream, [patient, ...others])
  for (const { query } of upstream.requests) asked.push(query.get('cursor') ?? '')
  expect([asked.length, asked.at(-1)]).toEqual([26, 'shared'])
})

test('over an hour they send 300 at most, and others have their calls in time', async () => {
  const { upstream, as, api, clock } = await startApi(manualClock())
  const arrivals: { at: number; shared: boolean }[] = []
  upstream.onApi = (request, response) => {
    arrivals.push({ at: clock.now(), shared: request.path.endsWith('/participants') })
    json(200, emptyPage)(request, response)
  }
  const begun = clock.now()
  let waited = 0
  const sharer = async () => {
    while (clock.now() - begun < 4_000_000) {
      const waitMs = await as(sharing)
        .participants()
        .then(() => 0)
        .catch((refused: ApiError) => refused.retryAfterMs ?? 0)
      if (waitMs > 0) await clock.sleep(waitMs)
    }
  }
  const handlers = async () => {
    for (let minute = 0; minute < 60; minute++) {
      const since = clock.now()
      await Promise.all(times(3, () => api.event()))
      waited = Math.max(waited, clock.now() - since)
      await clock.sleep(60_000)
    }
  }
  await play(clock, upstream, [sharer(), handlers()])
  const shared = arrivals.filter(one => one.shared).map(({ at }) => at)
  const all = arrivals.map(({ at }) => at)
  expect(mostWithin(shared, 60_000)).toBe(20)
  expect(mostWithin(shared, 3_600_000)).toBe(300)
  expect([mostWithin(all, 60_000) <= 30, mostWithin(all, 3_600_000) <= 500]).toEqual([true, true])
  expect(waited).toBeLessThanOrEqual(5_000)
})
