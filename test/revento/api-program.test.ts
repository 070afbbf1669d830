import { expect, test } from 'vitest'
import type { EventApi } from '../../src/revento/api.ts'
import { json } from '../helpers/upstream.ts'
import { manualClock, startApi } from './api-harness.ts'

type List = 'participants' | 'activities' | 'threads' | 'locations' | 'registrationWaves'

test.for<[List, string]>([
  ['participants', '/participants'],
  ['activities', '/activities'],
  ['threads', '/threads'],
  ['locations', '/locations'],
  ['registrationWaves', '/registration-waves'],
])('%s: one page, its rows open, by cursor and limit', async ([name, tail]) => {
  const { upstream, api } = await startApi(manualClock())
  const page = { data: [{ id: 'x_1', own: { a: [1] } }], next_cursor: 'n', has_more: true, extra: true }
  upstream.onApi = json(200, page)
  expect(await api[name]()).toEqual(page)
  expect(await api[name]({ cursor: 'a&b', limit: 99 })).toEqual(page)
  expect(upstream.requests.map(r => [r.path, Object.fromEntries(r.query)])).toEqual([
    [`/api/v1/events/evt_1${tail}`, {}],
    [`/api/v1/events/evt_1${tail}`, { cursor: 'a&b', limit: '50' }],
  ])
})

test.for<['event' | 'program', string]>([
  ['event', ''],
  ['program', '/program'],
])('%s: an open object as it came', async ([name, tail]) => {
  const { upstream, api } = await startApi(manualClock())
  upstream.onApi = json(200, { id: 'x', days: [{ a: 1 }] })
  expect(await api[name]()).toEqual({ id: 'x', days: [{ a: 1 }] })
  expect(upstream.requests.map(r => r.path)).toEqual([`/api/v1/events/evt_1${tail}`])
})

const CALLS: (keyof EventApi & string)[] = [
  'event',
  'participants',
  'program',
  'activities',
  'threads',
  'locations',
  'registrationWaves',
]

test.for(CALLS)('%s: anything but an object is refused', async name => {
  const { upstream, api } = await startApi(manualClock())
  for (const body of [null, [], 'x', 5]) {
    upstream.onApi = json(200, body)
    await expect((async () => api[name]())()).rejects.toMatchObject({ code: 'upstream_error' })
  }
})

test.for(['..', '.', 'a/b', 'a?b', 'a#b', '%2e%2e', 'a\\b', ''])(
  'the event id "%s", which could leave its path, never becomes a request',
  async eventId => {
    const { upstream, as } = await startApi(manualClock())
    const api = as({ connection: { eventId, organizationId: 'org_1' } })
    await expect(api.event()).rejects.toMatchObject({ code: 'invalid_event_id' })
    expect(upstream.requests).toEqual([])
  },
)
