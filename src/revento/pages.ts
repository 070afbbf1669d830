import { ApiError } from './api-error.ts'
import { PAGE_LIMIT, type Page, type Row } from './platform.ts'

export interface PageRequest {
  /** The `next_cursor` of the page before, as it came. */
  readonly cursor?: string | undefined
  /** Rows a page, 1 to 50. */
  readonly limit?: number | undefined
}

/** These hold 50,000 rows. A longer list counts as one that never ends. */
export const MAX_PAGES = 1000

export function pageQuery({ cursor, limit }: PageRequest): Record<string, string> {
  const bounded = limit === undefined ? undefined : Math.min(Math.max(Math.trunc(limit), 1), PAGE_LIMIT.max)
  return {
    ...(bounded === undefined ? {} : { limit: String(bounded) }),
    ...(cursor === undefined ? {} : { cursor }),
  }
}

/** Yields every row until `has_more` is false. A list that repeats a cursor or never ends is an error. */
export async function* allPages<R extends Row>(
  page: (p: PageRequest) => Promise<Page<R>>,
): AsyncGenerator<R> {
  const seen = new Set<string>()
  let cursor: string | undefined
  for (let n = 0; n < MAX_PAGES; n++) {
    const { data, has_more, next_cursor } = await page({ cursor, limit: PAGE_LIMIT.max })
    yield* data
    if (!has_more) return
    if (next_cursor === null || seen.has(next_cursor)) throw unusable()
    seen.add(next_cursor)
    cursor = next_cursor
  }
  throw unusable()
}

/** A cursor travels in a URL, and up to a thousand of them are remembered to notice a repeated one. */
const LONGEST_CURSOR = 4096

const isRow = (v: unknown): v is Row => typeof v === 'object' && v !== null && !Array.isArray(v)

export function readRow(body: unknown): Row {
  if (!isRow(body)) throw unusable()
  return body
}

/** Checks the three documented members; the rows pass as they are. */
export function readPage(body: unknown): Page {
  const page = readRow(body)
  const { data, next_cursor = null, has_more } = page
  if (!Array.isArray(data) || !data.every(isRow) || typeof has_more !== 'boolean') throw unusable()
  if (next_cursor !== null && (typeof next_cursor !== 'string' || next_cursor.length > LONGEST_CURSOR))
    throw unusable()
  return { ...page, data, next_cursor, has_more }
}

const unusable = () => new ApiError('upstream_error', 200, '')
