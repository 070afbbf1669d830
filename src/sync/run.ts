import { ConnectionUnavailable } from '../oauth/access-token.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import { ApiError, type EventApi, RefreshPending } from '../revento/api.ts'
import { PAGE_LIMIT } from '../revento/platform.ts'
import { listOf } from './lists.ts'
import type { Mirror, ReadPage } from './mirror.ts'
import { readRows, UnusablePage } from './page.ts'
import type { End, RunRow, Runs } from './runs.ts'

export interface RunParts {
  readonly runs: Runs
  readonly mirror: Mirror
  /** `onMoment` is called with the moment of each answer; see revento/api. */
  readonly api: (run: RunRow, o: { signal: AbortSignal; onMoment: (at: number) => void }) => EventApi
  /** Whether so many deliveries wait that a run may add none now. */
  readonly isFull: () => boolean
}

/** The next pass has other page borders, so that somebody hidden at a border before now stands inside a page. */
const limitOf = ({ pass }: RunRow) => (pass % 2 === 1 ? PAGE_LIMIT.max : PAGE_LIMIT.max - 3)
const MOST_RESTARTS = 3
/** The pause where an error does not say how long to wait. */
const NO_WORD_MS = 1_000
const LONGEST_WAIT_MS = 3_600_000
/** The pause after a failure of Revento's; it doubles with each failure in a row. */
const OUTAGE_MS = 6_000
const LONGEST_OUTAGE_MS = 300_000
const FULL_MS = 20_000
/** From so many failures in a row on, a 200 without a usable page makes the run fail. */
const MOST_UNUSABLE = 5

const HOPELESS: readonly string[] = ['answer_too_large', 'invalid_event_id']

/** What a run has to wait for; `what` is stored in `waits_for`. */
interface Pause {
  readonly what: 'limits' | 'revento' | 'refresh' | 'suspended' | 'backlog'
  readonly ms: number
}

/** Works at a claimed run to its end. Undefined: another process has it, or it was ended from elsewhere. */
export async function work(
  claimed: RunRow,
  o: RunParts & { log: Log; signal: AbortSignal },
  runtime: Runtime,
): Promise<End | undefined> {
  const { mirror, runs, log, signal } = o
  let run = claimed
  let at: number | undefined
  let failures = 0
  const cursors = new Set<string>()
  const list = listOf(claimed)
  const api = o.api(run, {
    signal,
    onMoment: moment => {
      at = moment
    },
  })

  async function nextPage(): Promise<ReadPage> {
    const cursor = run.cursor ?? undefined
    const page = await list.read(api, { limit: limitOf(run), cursor })
    const { rows, next } = readRows(page, {
      list,
      cursors,
      cursor: run.cursor,
      pages: run.pages / run.pass,
      log,
    })
    if (next !== null) cursors.add(next)
    return { rows, next, at: new Date(at ?? runtime.now()).toISOString() }
  }

  function judge(error: unknown): Pause | End {
    if (error instanceof UnusablePage) return failed(error.problem)
    if (error instanceof ConnectionUnavailable) return unavailable(error)
    if (!(error instanceof ApiError)) throw error
    const ms = Math.min(error.retryAfterMs ?? NO_WORD_MS, LONGEST_WAIT_MS)
    if (error instanceof RefreshPending) return { what: 'refresh', ms }
    if (error.status === 429 || error.code === 'rate_budget_used') return { what: 'limits', ms }
    failures += 1
    if (error.status === 200 && failures >= MOST_UNUSABLE) return failed('page_unusable')
    if (error.status === 400 && run.cursor !== null) return refused(run)
    if ((error.status >= 400 && error.status < 500) || HOPELESS.includes(error.code))
      return failed(error.code)
    return { what: 'revento', ms: Math.max(ms, Math.min(OUTAGE_MS * 2 ** (failures - 1), LONGEST_OUTAGE_MS)) }
  }

  async function pause({ what, ms }: Pause): Promise<void> {
    if (what !== 'limits') log.warn({ what, ms }, 'the run waits')
    await runs.wait(run, what, runtime.now() + ms)
    await runtime.sleep(ms, signal)
  }

  for (;;) {
    signal.throwIfAborted()
    if (run.phase === 'judge') {
      const judged = await mirror.judge(run)
      if (!judged) return undefined
      run = judged.run
      if (judged.left) continue
      return { outcome: 'done' }
    }
    if (o.isFull()) {
      await pause({ what: 'backlog', ms: FULL_MS })
      continue
    }
    const read = await nextPage().catch(error => {
      signal.throwIfAborted()
      return judge(error)
    })
    if ('outcome' in read) return read
    if ('what' in read) {
      await pause(read)
      continue
    }
    failures = 0
    const written = await mirror.page(run, read)
    if (!written) return undefined
    if (written.pass !== run.pass) cursors.clear()
    run = written
  }
}

const failed = (problem: string): End => ({ outcome: 'failed', problem })

/** The end after a refused cursor. What was read may have changed since, so another run begins with the first page. */
const refused = ({ restarts }: RunRow): End => ({
  ...failed('cursor_refused'),
  again: restarts < MOST_RESTARTS,
})

const SUSPENDED_MS = 60_000

function unavailable({ code }: ConnectionUnavailable): Pause | End {
  if (code === 'suspended') return { what: 'suspended', ms: SUSPENDED_MS }
  return code === 'scope_missing' ? failed(code) : { outcome: 'stopped', problem: code }
}
