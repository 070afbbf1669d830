import { describe, expect, test } from 'vitest'
import { allPages, MAX_PAGES } from '../../src/revento/pages.ts'
import type { Page } from '../../src/revento/platform.ts'
import { emptyPage, json } from '../helpers/upstream.ts'
import { manualClock, PATH, play, startApi } from './api-harness.ts'

async function all<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const row of rows) list.push(row)
  return list
}

/** Serves a list by its cursors, with one row a page, which names the page. */
function list(next: (cursor: string | undefined, n: number) => Partial<Page>) {
  const asked: (string | undefined)[] = []
  const rows = allPages(async ({ cursor }) => {
    asked.push(cursor)
    return {
      data: [{ page: asked.length }],
      next_cursor: null,
      has_more: true,
      ...next(cursor, asked.length),
    }
  })
  return { asked, rows }
}

test('cursors go back exactly as they came, with the largest page', async () => {
  const { upstream, api } = await startApi(manualClock())
  const cursors = ['a=b&c', '../é %2F+', ' ', '0']
  upstream.onApi = (request, response) => {
    const at = cursors.indexOf(request.query.get('cursor') ?? '')
    const next = cursors[at + 1] ?? null
    json(200, { data: [{ n: at + 1 }], next_cursor: next, has_more: next !== null })(request, response)
  }
  expect(await all(api.allParticipants())).toEqual([0, 1, 2, 3, 4].map(n => ({ n })))
  expect(upstream.requests.map(r => [r.path, Object.fromEntries(r.query)])).toEqual([
    [PATH, { limit: '50' }],
    ...cursors.map(cursor => [PATH, { limit: '50', cursor }]),
  ])
})

test('has_more decides: a cursor beside has_more false is not followed, an empty page is no end', async () => {
  const { asked, rows } = list((_cursor, n) =>
    n === 1
      ? { data: [], next_cursor: 'a' }
      : n === 2
        ? { next_cursor: 'b' }
        : { next_cursor: 'c', has_more: false },
  )
  expect(await all(rows)).toEqual([{ page: 2 }, { page: 3 }])
  expect(asked).toEqual([undefined, 'a', 'b'])
})

describe('a list that cannot be read to its end is an error and not a short list', () => {
  const unusable = { code: 'upstream_error' }

  test('a list with more rows and no cursor is an error', async () => {
    const { rows } = list(() => ({ next_cursor: null }))
    await expect(all(rows)).rejects.toMatchObject(unusable)
  })

  test('a list that gives the same cursor again is an error', async () => {
    const { asked, rows } = list(() => ({ next_cursor: 'a' }))
    await expect(all(rows)).rejects.toMatchObject(unusable)
    expect(asked).toEqual([undefined, 'a'])
  })

  test('a list whose cursors go in a circle is an error', async () => {
    const { asked, rows } = list((_cursor, n) => ({ next_cursor: ['a', 'b', 'c'][(n - 1) % 3] ?? '' }))
    await expect(all(rows)).rejects.toMatchObject(unusable)
    expect(asked).toEqual([undefined, 'a', 'b', 'c'])
  })

  test('a list whose pages never end is an error', async () => {
    const { asked, rows } = list((_cursor, n) => ({ next_cursor: String(n) }))
    await expect(all(rows)).rejects.toMatchObject(unusable)
    expect(asked).toHaveLength(MAX_PAGES)
  })
})

test('a caller that stops reading asks for no further page', async () => {
  const { asked, rows } = list((_cursor, n) => ({ next_cursor: String(n) }))
  for await (const row of rows) if (row['page'] === 2) break
  expect(asked).toHaveLength(2)
})

test('a list longer than the budget is read to its end, within the budget', async () => {
  const { upstream, clock, api } = await startApi(manualClock())
  upstream.onApi = (request, response) => {
    const n = Number(request.query.get('cursor') ?? 0)
    json(200, { data: [{ n }], next_cursor: String(n + 1), has_more: n < 69 })(request, response)
  }
  const startedAt = clock.now()
  const reading = all(api.allParticipants())
  await play(clock, upstream, [reading])
  expect(await reading).toHaveLength(70)
  expect(clock.now() - startedAt).toBe(120_000)
})

test('a page that fails ends the reading with its error', async () => {
  const { upstream, api } = await startApi(manualClock())
  upstream.onApi = (request, response) =>
    request.query.has('cursor')
      ? json(400, { error: 'invalid_cursor' })(request, response)
      : json(200, { ...emptyPage, next_cursor: 'a', has_more: true })(request, response)
  await expect(all(api.allParticipants())).rejects.toMatchObject({ code: 'invalid_cursor', status: 400 })
})
