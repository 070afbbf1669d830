import { FixedTextError } from '../process/disclosure.ts'
import type { Log } from '../process/log.ts'
import { ID, type Page, type Row } from '../revento/platform.ts'
import type { List } from './lists.ts'

/** Why a page cannot be used. The run fails with this code, and nobody counts as gone. */
export type PageProblem =
  | 'row_without_id'
  | 'more_without_cursor'
  | 'cursor_repeated'
  | 'empty_page_promises_more'
  | 'list_never_ends'

export class UnusablePage extends FixedTextError {
  override readonly name = 'UnusablePage'
  readonly problem: PageProblem
  constructor(problem: PageProblem) {
    super(`the list cannot be read: ${problem}`)
    this.problem = problem
  }
}

/** These hold 50,000 rows. A longer list counts as one that never ends. */
const MAX_PAGES = 1000

export interface Reading {
  /** The cursors of this pass so far, as far as this process read it. */
  readonly cursors: ReadonlySet<string>
  readonly list: Pick<List, 'member' | 'facts'>
  readonly cursor: string | null
  readonly pages: number
  readonly log: Pick<Log, 'warn'>
}

/**
 * The rows of a page, each id once, and the cursor of the next page; throws UnusablePage. A member whose type is not the
 * documented one stays in the row, but is no fact. A row that comes twice counts once, as it came last.
 */
export function readRows(
  { data, has_more, next_cursor }: Page,
  { list, cursors, cursor, pages, log }: Reading,
): { rows: Row[]; next: string | null } {
  const rows = new Map<string, Row>()
  for (const row of data) {
    const id = row[list.member]
    if (typeof id !== 'string' || !ID.test(id)) throw new UnusablePage('row_without_id')
    rows.set(id, row)
  }
  const twice = data.length - rows.size
  if (twice > 0) log.warn({ rows: twice }, 'rows of one page have the same id: the last one counts')
  const odd = data.filter(row => isOdd(row, list.facts)).length
  if (odd > 0) log.warn({ rows: odd }, 'rows have a status or a name that is no text: it is not taken')
  if (!has_more) return { rows: [...rows.values()], next: null }
  if (next_cursor === null) throw new UnusablePage('more_without_cursor')
  if (next_cursor === cursor || cursors.has(next_cursor)) throw new UnusablePage('cursor_repeated')
  if (data.length === 0) throw new UnusablePage('empty_page_promises_more')
  if (pages >= MAX_PAGES) throw new UnusablePage('list_never_ends')
  return { rows: [...rows.values()], next: next_cursor }
}

const isOdd = (row: Row, facts: readonly string[]) =>
  facts.some(name => row[name] !== undefined && row[name] !== null && typeof row[name] !== 'string')
