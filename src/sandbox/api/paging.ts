import { PAGE_LIMIT, type Page } from '../../revento/platform.ts'
import { one } from '../single.ts'
import { Problem } from './problem.ts'

/**
 * One page of a list by `limit` and `cursor`. The cursor names its list, so that one from another list is refused
 * instead of silently pointing into the wrong rows.
 */
export function page<Row>(list: string, rows: Row[], query: unknown): Page<Row> {
  const limit = readLimit(query)
  const start = readCursor(list, rows.length, query)
  const end = start + limit
  const more = end < rows.length
  return { data: rows.slice(start, end), next_cursor: more ? encode(list, end) : null, has_more: more }
}

const has = (query: unknown, name: string) => Object.hasOwn(Object(query), name)
const encode = (list: string, offset: number) => Buffer.from(`${offset} ${list}`).toString('base64url')

function readLimit(query: unknown): number {
  if (!has(query, 'limit')) return PAGE_LIMIT.default
  const text = one(query, 'limit') ?? ''
  if (!/^[1-9]\d?$/.test(text) || Number(text) > PAGE_LIMIT.max) throw new Problem('invalid_limit')
  return Number(text)
}

function readCursor(list: string, length: number, query: unknown): number {
  if (!has(query, 'cursor')) return 0
  const text = one(query, 'cursor') ?? ''
  const offset = Number.parseInt(Buffer.from(text, 'base64url').toString(), 10)
  // Encoding it again must give the same text: one spelling per cursor.
  if (!(offset > 0 && offset < length) || encode(list, offset) !== text) throw new Problem('invalid_cursor')
  return offset
}
