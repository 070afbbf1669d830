import { ApiError } from '../../src/revento/api.ts'
import type { Row } from '../../src/revento/platform.ts'
import { KEY, person, startMirror } from './stage.ts'

/** What may happen before a request for a page is answered, or between two runs. */
export type Step =
  | { readonly what: 'add'; readonly where: number; readonly webhook: Webhook }
  | { readonly what: 'remove'; readonly where: number; readonly many: number }
  | { readonly what: 'edit'; readonly where: number; readonly status: string; readonly webhook: Webhook }
  | { readonly what: 'fail'; readonly how: 'limited' | 'broken' | 'cursor_refused' | 'killed' | 'taken_over' }
  | { readonly what: 'jump'; readonly ms: number }
  | { readonly what: 'nothing' }
type Webhook = 'told' | 'late' | 'lost'

/** What a person was from a moment of Revento's on; undefined: not in the list. */
interface Fact {
  readonly at: number
  readonly row: Row | undefined
}

const ERRORS = {
  limited: () => new ApiError('rate_limit_exceeded', 429, '', 3_000),
  broken: () => new ApiError('internal_error', 500, ''),
  cursor_refused: () => new ApiError('invalid_cursor', 400, ''),
}

/** Runs up to one, from when it was asked for to its end, by Revento's clock. */
interface Span {
  readonly last: number
  readonly from: number
  readonly to: number
}

/**
 * A list of so many people, to which the steps happen in order: one before each request for a page, as long as there
 * are any, and the rest between runs. Then every fault is over, and one run is made. Gives what does not hold.
 */
export async function violationsOf(count: number, steps: readonly Step[]): Promise<string[]> {
  const s = await startMirror({ tellFirst: true })
  await s.connect()
  const history = new Map<string, Fact[]>()
  const spans: Span[] = []
  const late: (() => Promise<void>)[] = []
  const toldOf = new Set<string>()
  let added = count
  let killer = new AbortController()

  const note = (row: Row, isThere: boolean) => {
    const id = String(row['id'])
    const facts = history.get(id) ?? []
    facts.push({ at: s.platformNow(), row: isThere ? structuredClone(row) : undefined })
    history.set(id, facts)
  }
  s.list = Array.from({ length: count }, (_, n) => person(n + 1))
  for (const row of s.list) note(row, true)

  async function tell(row: Row, webhook: Webhook, type: string): Promise<void> {
    const at = s.platformNow()
    const { id, name, application_status } = structuredClone(row)
    const send = async () => {
      const change = { participantId: String(id), name: String(name), type, at }
      await s.webhook({ ...change, applicationStatus: String(application_status) })
      toldOf.add(String(id))
    }
    if (webhook === 'told') await send()
    if (webhook === 'late') late.push(send)
  }

  async function happen(step: Step, isPaging: boolean, hasCursor: boolean): Promise<void> {
    await s.runtime.sleep(1_000)
    const at = 'where' in step ? step.where % Math.max(1, s.list.length) : 0
    if (step.what === 'add') {
      const row = person(++added, { application_status: 'pending' })
      s.list.splice(at, 0, row)
      note(row, true)
      await tell(row, step.webhook, 'application.submitted')
    } else if (step.what === 'remove') {
      for (const row of s.list.splice(at, step.many)) note(row, false)
    } else if (step.what === 'edit' && s.list[at]) {
      const row = { ...s.list[at], application_status: step.status, last_review_action: step.status }
      s.list[at] = row
      note(row, true)
      await tell(row, step.webhook, `application.${step.status}`)
    } else if (step.what === 'jump') {
      await s.runtime.sleep(step.ms)
      s.platformAhead -= step.ms
    } else if (step.what === 'fail' && isPaging) {
      if (step.how === 'killed') killer.abort()
      else if (step.how === 'taken_over') await takeOver()
      else if (step.how !== 'cursor_refused' || hasCursor) throw ERRORS[step.how]()
    }
  }

  /** As another process does when this one has not renewed its lease: what this one has read is written no more. */
  const takeOver = () =>
    s.query
      .updateTable('sync_runs')
      .set(eb => ({ fence: eb('fence', '+', 1), lease_owner: null, lease_until: 0 }))
      .where('finished_at', 'is', null)
      .execute()

  async function compare(): Promise<void> {
    const from = s.platformNow()
    for (;;) {
      killer = new AbortController()
      const last = await s.compare(killer.signal)
      const { open } = await s.sync.state(KEY)
      if (!open && last) return void spans.push({ last: last.id, from, to: s.platformNow() })
    }
  }

  const left = [...steps]
  s.before = async n => {
    const step = left.shift()
    if (step) await happen(step, true, !s.asked[n - 1]?.startsWith('first'))
  }
  while (left.length > 0) {
    await compare()
    const step = left.shift()
    if (step) await happen(step, false, false)
    for (const send of late.splice(0)) await send()
  }
  await s.runtime.sleep(2_000)
  await compare()
  return [...differences(s.list, await s.rows()), ...(await falsehoods(s, { history, spans, toldOf }))]
}

type Stage = Awaited<ReturnType<typeof startMirror>>

function differences(list: readonly Row[], stored: Awaited<ReturnType<Stage['rows']>>): string[] {
  const here = new Map(stored.filter(row => row.gone_at === null).map(row => [row.participant_id, row]))
  const missing = list.filter(row => !here.has(String(row['id']))).map(row => `${row['id']} is missing`)
  const extra = [...here.keys()]
    .filter(id => !list.some(row => row['id'] === id))
    .map(id => `${id} is too much`)
  const other = list.flatMap(row => {
    const mine = here.get(String(row['id']))
    if (!mine) return []
    const same =
      mine.application_status === row['application_status'] &&
      mine.name === row['name'] &&
      JSON.stringify(sorted(JSON.parse(mine.data ?? '{}'))) === JSON.stringify(sorted(row))
    return same ? [] : [`${row['id']} is ${mine.application_status} ${mine.data}, not ${JSON.stringify(row)}`]
  })
  return [...missing, ...extra, ...other]
}

const sorted = (row: Row) => Object.fromEntries(Object.entries(row).toSorted(([a], [b]) => (a < b ? -1 : 1)))

interface Told {
  readonly history: ReadonlyMap<string, readonly Fact[]>
  readonly spans: readonly Span[]
  /** The participants of whom a webhook came. */
  readonly toldOf: ReadonlySet<string>
}

/** What a handler was told that was so at no moment while it was compared, and who went without a word. */
async function falsehoods(s: Stage, { history, spans, toldOf }: Told): Promise<string[]> {
  const found: string[] = []
  const last = new Map([...toldOf].map(id => [id, 'webhook']))
  for (const { type, data } of await s.news()) {
    const { participant_id: id, run } = data
    const span = spans.find(one => one.last >= run)
    const states = span ? statesIn(history.get(id) ?? [], span) : []
    const text = JSON.stringify(sorted(data.participant))
    const isTrue =
      type === 'participant.removed'
        ? states.includes(undefined)
        : states.some(row => row !== undefined && JSON.stringify(sorted(row)) === text)
    if (!isTrue) found.push(`run ${run} told ${type} of ${id} as ${text}, and that never was`)
    last.set(id, type)
  }
  const here = new Set(s.list.map(row => row['id']))
  for (const [id, type] of last)
    if (!here.has(id) && type !== 'participant.removed') found.push(`nobody was told that ${id} went`)
  return found
}

/** What somebody was while a run went on: first what they were when it began. */
function statesIn(facts: readonly Fact[], { from, to }: Span): (Row | undefined)[] {
  const before = facts.findLast(({ at }) => at <= from)?.row
  return [before, ...facts.filter(({ at }) => at > from && at <= to).map(({ row }) => row)]
}
