import { ApiError } from './api-error.ts'
import { PAGE_LIMIT, type Page, type Row } from './platform.ts'

export interface PageRequest {
  /** Opaque: the `next_cursor` of the page before. */
  readonly cursor?: string | undefined
  /** Rows a page, 1 to 50. */
  readonly limit?: number | undefined
}

/** 50,000 rows. More means that the list does not end. */
export const MAX_PAGES = 1000

export function pageQuery({ cursor, limit }: PageRequest): Record<string, string> {
  const bounded = limit === undefined ? undefined : Math.min(Math.max(Math.trunc(limit), 1), PAGE_LIMIT.max)
  return {
    ...(bounded === undefined ? {} : { limit: String(bounded) }),
    ...(cursor === undefined ? {} : { cursor }),
  }
}

/** Every row, page after page, until `has_more` is false. A list that goes in circles or never ends is an error. */
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

/** It travels in a URL; and a thousand are remembered, to notice a circle. */
const LONGEST_CURSOR = 4096

const isRow = (v: unknown): v is Row => typeof v === 'object' && v !== null && !Array.isArray(v)

export function readRow(body: unknown): Row {
  if (!isRow(body)) throw unusable()
  return body
}

/** Only these three members are documented; rows pass as they are. */
export function readPage(body: unknown): Page {
  const page = readRow(body)
  const { data, next_cursor = null, has_more } = page
  if (!Array.isArray(data) || !data.every(isRow) || typeof has_more !== 'boolean') throw unusable()
  if (next_cursor !== null && (typeof next_cursor !== 'string' || next_cursor.length > LONGEST_CURSOR))
    throw unusable()
  return { ...page, data, next_cursor, has_more }
}

const unusable = () => new ApiError('upstream_error', 200, '')
