import { describe, expect, test } from 'vitest'
import { ConnectionUnavailable } from '../../src/oauth/access-token.ts'
import { ApiError } from '../../src/revento/api.ts'
import type { Page, Row } from '../../src/revento/platform.ts'
import { KEY, people, person, startMirror } from './stage.ts'

async function copied(count: number, o: Parameters<typeof startMirror>[0] = {}) {
  const s = await startMirror(o)
  await s.connect()
  s.list = people(count)
  await s.compare()
  s.asked.length = 0
  await s.runtime.sleep(5_000)
  return s
}

describe('a page that is none', () => {
  const ill: Record<string, [(page: Page<Row>, n: number) => Page<Row>, string]> = {
    'a row without an id': [page => ({ ...page, data: [{ name: 'Ada' }, ...page.data] }), 'row_without_id'],
    'an id that is no text': [page => ({ ...page, data: [{ ...person(1), id: 7 }] }), 'row_without_id'],
    'more, and no cursor': [page => ({ ...page, has_more: true, next_cursor: null }), 'more_without_cursor'],
    'the cursor that was asked with': [
      page => ({ ...page, has_more: true, next_cursor: '50' }),
      'cursor_repeated',
    ],
    'a circle of cursors': [
      (page, n) => ({ ...page, has_more: true, next_cursor: n % 2 === 1 ? '50' : '0' }),
      'cursor_repeated',
    ],
    'an empty page that promises more': [
      page => ({ ...page, data: [], has_more: true, next_cursor: '100' }),
      'empty_page_promises_more',
    ],
  }
  test.each(Object.entries(ill))(
    '%s: the run fails with its word, and removes nobody',
    async (_, [answer, problem]) => {
      const s = await copied(120)
      s.list = people(60)
      s.answer = answer
      expect(await s.compare()).toMatchObject({ outcome: 'failed', problem, removed: 0 })
      expect((await s.stored()).filter(text => text.endsWith('gone'))).toEqual([])
      expect(s.log.at(-1)).toMatchObject({ problem, outcome: 'failed' })
      s.answer = page => page
      expect(await s.compare()).toMatchObject({ outcome: 'done', removed: 60 })
    },
  )

  test('an id twice counts once, as it came last; members of another type are kept and are no facts', async () => {
    const s = await copied(2)
    s.list = [person(1), person(1, { name: 'Last' }), person(2, { application_status: 7, name: ['x'] })]
    expect(await s.compare()).toMatchObject({ outcome: 'done', removed: 0 })
    const [first, second] = await s.rows()
    expect([first?.name, second?.name, second?.application_status]).toEqual(['Last', 'Person 2', 'approved'])
    expect(JSON.parse(second?.data ?? '')).toMatchObject({ application_status: 7, name: ['x'] })
    expect(s.log.map(({ msg }) => msg)).toEqual(
      expect.arrayContaining([
        'rows of one page have the same id: the last one counts',
        'rows have a status or a name that is no text: it is not taken',
      ]),
    )
  })
})

const refuse = (error: unknown, times = 1) => {
  let left = times
  return async (n: number) => {
    if (n > 1 && left-- > 0) throw error
  }
}
const limit = (ms: number) => new ApiError('rate_limit_exceeded', 429, '', ms)

describe('a run waits, and goes on at the same page', () => {
  test.each([
    ['for the platform’s limit', limit(1_800_000), 1, 1_800_000, 'limits'],
    ['for its share', new ApiError('rate_budget_used', 0, '', 40_000), 1, 40_000, 'limits'],
    ['through an outage, longer each time', new ApiError('upstream_error', 503, ''), 5, 186_000, 'revento'],
    ['while nothing answers', new ApiError('upstream_timeout', 0, ''), 3, 42_000, 'revento'],
    ['while the app is suspended', new ConnectionUnavailable('suspended'), 1, 60_000, 'suspended'],
  ])('a run waits %s, and goes on at the same page', async (_, error, times, ms, what) => {
    const s = await copied(60)
    s.list = people(59)
    const refused = refuse(error, times)
    const waits: unknown[] = []
    s.before = async n => {
      const { open } = await s.sync.state(KEY)
      if (open?.waitsFor) waits.push(open.waitsFor)
      await refused(n)
    }
    const begun = s.runtime.now()
    expect(await s.compare()).toMatchObject({ outcome: 'done', removed: 1 })
    expect(s.runtime.now() - begun).toBeGreaterThanOrEqual(ms)
    expect(new Set(waits)).toEqual(new Set([what]))
    expect(s.asked.filter(text => text === 'first 50')).toHaveLength(1)
  })

  test('a run waits until there is room for what it tells', async () => {
    let full = 0
    const s = await copied(5, { isFull: () => full-- > 0 })
    full = 3
    expect(await s.compare()).toMatchObject({ outcome: 'done' })
    expect(s.log.map(line => line['what'])).toContain('backlog')
  })
})

test('a refused cursor begins another run with the first page, a few times', async () => {
  const s = await copied(120)
  s.list = people(119)
  let left = 2
  s.before = async n => {
    if (!s.asked[n - 1]?.startsWith('first') && left-- > 0) throw new ApiError('invalid_cursor', 400, '')
  }
  expect(await s.compare()).toMatchObject({ outcome: 'done', removed: 1, counted: 119 })
  s.before = async n => {
    if (s.asked[n - 1] !== 'first 50') throw new ApiError('invalid_cursor', 400, '')
  }
  s.asked.length = 0
  expect(await s.compare()).toMatchObject({ outcome: 'failed', problem: 'cursor_refused' })
  expect(s.asked.filter(text => text === 'first 50')).toHaveLength(4)
  expect(await s.news()).toHaveLength(1)
})

test.each([
  [new ApiError('missing_scope', 403, ''), 'failed', 'missing_scope'],
  [new ConnectionUnavailable('scope_missing'), 'failed', 'scope_missing'],
  [new ConnectionUnavailable('reconsent_required'), 'stopped', 'reconsent_required'],
  [new ConnectionUnavailable('revoked'), 'stopped', 'revoked'],
] as const)('%s ends the run, and removes nobody', async (error, outcome, problem) => {
  const s = await copied(120)
  s.list = []
  s.before = async () => {
    throw error
  }
  expect(await s.compare()).toMatchObject({ outcome, problem, removed: 0 })
})

test('a process that stops gives its run back; another goes on at the cursor, and what was told is told once', async () => {
  const s = await copied(230)
  s.list = [...people(230).slice(1), person(500)].map(row => ({
    ...row,
    email: `new-${row['id']}@example.org`,
  }))
  const stopping = new AbortController()
  s.before = async n => {
    if (n === 3) stopping.abort()
  }
  await s.compare(stopping.signal)
  expect((await s.sync.state(KEY)).open).toMatchObject({ pages: 3, phase: 'list' })
  s.before = async () => {}
  const other = await startMirror({ database: s.database })
  Object.assign(other, { list: s.list })
  expect(await other.compare()).toMatchObject({
    outcome: 'done',
    counted: 230,
    added: 1,
    changed: 229,
    removed: 1,
  })
  expect(other.asked[0]).toBe('150 50')
  const told = (await s.news()).map(({ data }) => data.participant_id)
  expect([told.length, new Set(told).size]).toEqual([231, 231])
})

test('a killed process’s run is taken over after its lease; what the first still writes is not taken', async () => {
  const s = await copied(230)
  const other = await startMirror({ database: s.database })
  const gate = Promise.withResolvers<void>()
  Object.assign(other, { list: s.list, before: () => gate.promise })
  const take = () => other.sync.worker.take(new AbortController().signal)
  const taken: unknown[] = []
  s.before = async n => {
    if (n !== 3) return
    taken.push(await take())
    await other.runtime.sleep(40_000)
    taken.push(await take())
  }
  await s.compare()
  gate.resolve()
  await other.sync.worker.settled()
  expect((await s.sync.state(KEY)).last).toMatchObject({ outcome: 'done', pages: 5, counted: 230 })
  expect([taken, s.asked.length, other.asked]).toEqual([[0, 1], 3, ['100 50', '150 50', '200 50']])
})

test('of several instances one works at a run', async () => {
  const s = await copied(120)
  const others = await Promise.all([1, 2, 3].map(() => startMirror({ database: s.database })))
  const all = [s, ...others]
  for (const one of all) Object.assign(one, { list: s.list })
  await s.sync.ask(KEY, 'asked')
  const taken = await Promise.all(all.map(one => one.sync.worker.take(new AbortController().signal)))
  await Promise.all(all.map(one => one.sync.worker.settled()))
  expect(taken.toSorted()).toEqual([0, 0, 0, 1])
  expect(all.flatMap(one => one.asked)).toHaveLength(3)
})
