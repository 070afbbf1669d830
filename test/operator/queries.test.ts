import { expect, test } from 'vitest'
import type { Filter } from '../../src/operator/filter.ts'
import { readFilter } from '../../src/operator/filter.ts'
import { createInboxQueries } from '../../src/operator/queries.ts'
import { systemRuntime } from '../../src/process/runtime.ts'
import { testDatabase } from '../helpers/database.ts'
import { type InboxRow, row, stored } from './harness.ts'

const START = Date.parse('2026-05-09T12:00:00Z')
const STATES = ['done', 'done', 'done', 'dead', 'pending', 'duplicate', 'ignored', 'parked'] as const
const PROVIDERS = ['revento', 'revento', 'barker', 'standard'] as const

/** Rows a second apart, with rare types and a sender that only came at first. */
const many = (count: number): InboxRow[] =>
  Array.from({ length: count }, (_, n) =>
    row(n, {
      state: STATES[n % STATES.length] ?? 'done',
      provider: n < 3 ? 'entrupy' : (PROVIDERS[n % PROVIDERS.length] ?? 'revento'),
      type: n % 211 === 0 ? 'rare' : `type_${n % 5}`,
      event_id: `evt_${n % 7}`,
      received_at: START + n * 1_000,
      next_at: n % 3 === 0 ? 0 : START,
    }),
  )

const FILTERS: readonly Filter[] = [
  {},
  ...STATES.map(state => ({ state })),
  ...['revento', 'barker', 'entrupy', 'nobody'].map(provider => ({ provider })),
  { provider: 'barker', state: 'pending' },
  { type: 'rare' },
  { type: 'rare', state: 'dead' },
  { event_id: 'evt_3' },
  { event_id: 'evt_3', type: 'type_1', state: 'done' },
  { since: START + 700_000 },
  { until: START + 300_500 },
  { since: START + 100_000, until: START + 110_000, state: 'done' },
  { since: START + 9e6 },
  ...[1, 2, 3, 4, 5, 499, 500, 997, 998].map(n => ({ since: START + n * 1_000, state: 'done' as const })),
]

test('every filter finds what it says, page by page, the newest first', async () => {
  const { query } = await testDatabase()
  const rows = many(1_000)
  const ids = await stored(query, rows)
  const { list } = createInboxQueries(query, 'real', systemRuntime)
  for (const filter of FILTERS) {
    const { since = 0, until = Number.POSITIVE_INFINITY, ...texts } = filter
    const expected = rows
      .map((r, n) => ({ ...r, id: ids[n] }))
      .filter(r => Object.entries(texts).every(([name, value]) => r[name as keyof InboxRow] === value))
      .filter(({ received_at = 0 }) => received_at >= since && received_at < until)
      .map(r => r.id)
      .reverse()
    const found: number[] = []
    for (let before: number | undefined, pages = 0; pages < 40; pages++) {
      const page = await list(filter, 100, before)
      found.push(...page.rows.map(({ id }) => Number(id)))
      before = page.before
      if (before === undefined) break
    }
    expect([filter, found]).toEqual([filter, expected])
  }
})

test('deliveries that cannot run again are not counted for a replay', async () => {
  const { query } = await testDatabase()
  await stored(query, [
    row(1, { state: 'dead' }),
    row(2, { state: 'dead', body: null }),
    row(3, { state: 'dead', provider: 'aghanim' }), // part: senders
    row(4, { state: 'dead', platform: 'sandbox' }),
    row(5, { state: 'dead', event_id: 'evt_erased' }),
    row(6, { state: 'ignored' }),
    row(7),
  ])
  const erased = { platform: 'real', event_id: 'evt_erased', organization_id: 'org_test_formal' } as const
  await query
    .insertInto('erasures')
    .values({ ...erased, erased_at: 1, through: 99, swept: 0 })
    .execute()
  const { countReplayable } = createInboxQueries(query, 'real', systemRuntime)
  expect((await countReplayable({ state: 'dead' })).total).toBe(1)
  expect((await countReplayable({ state: 'ignored' })).total).toBe(1)
  for (const filter of [{}, { state: 'done' }] as const) expect((await countReplayable(filter)).total).toBe(0)
})

test.each([
  ['since=2h', { since: START - 7_200_000 }],
  ['since=30m&until=2026-05-09', { since: START - 1_800_000, until: START - 43_200_000 }],
  ['since=2026-05-09+12:00', { since: START }],
  ['since=2026-05-09T12:00:00.000Z&state=dead', { since: START, state: 'dead' }],
  ['since=yesterday&until=&state=given+up&type=+a+', { type: 'a' }],
])('the address of a list says its filter: %s', (query, filter) => {
  expect(readFilter(new URLSearchParams(query), START)).toEqual(filter)
})

test('what is done and runs again keeps the run that its own row told of', async () => {
  const { query } = await testDatabase()
  const [id = 0] = await stored(query, [row(1, { state: 'done', finished_at: 9 })])
  await query.updateTable('outcomes').set({ started_at: 5 }).execute()
  const { again } = createInboxQueries(query, 'real', systemRuntime)
  const runs = () =>
    query.selectFrom('runs').select(['inbox_id', 'started_at', 'ended_at', 'outcome']).execute()
  const first = [{ inbox_id: id, started_at: 5, ended_at: 9, outcome: 'done' }]
  expect(await runs()).toEqual(first)
  const both = await Promise.all([again(id, false), again(id, false)])
  // By two connections, whichever comes first.
  expect(both.toSorted()).toEqual([false, true])
  expect(await runs()).toEqual(first)
})
