import { type Selectable, sql } from 'kysely'
import { firstLine } from '../../process/errors.ts'
import { DELETION_REQUIRED } from '../../revento/platform.ts'
import type { Call } from '../../revento/request.ts'
import type { Queries } from '../../storage/database.ts'
import { type Erasable, erasedAmong } from '../../storage/erasures.ts'
import type { OutcomesTable } from '../../storage/schema.ts'
import {
  eventLock,
  ids,
  idsText,
  integer,
  lockShared,
  records,
  recordsText,
  statement,
  text,
} from '../../storage/sql.ts'
import type { Claimed } from './claim.ts'

/**
 * How one run of a handler ended. `retry` comes back after a wait; `postponed` too, but it did not count: the run could
 * not go on, and that was not its handler's fault; `released` comes back at once, and did not count. `error` is what
 * `describeError` says: the delivery keeps its first line, the run all of it.
 */
export type Outcome =
  | { state: 'done' | 'ignored' }
  | { state: 'parked' | 'dead'; error: string }
  | { state: 'retry' | 'postponed'; error: string; delayMs: number }
  | { state: 'released' }

export interface Ended {
  readonly delivery: Erasable & Pick<Claimed, 'attempt'>
  readonly outcome: Outcome
  /** Absent: it was given back before it began. Times in ms since 1970. */
  readonly run?: { readonly startedAt: number; readonly endedAt: number; readonly calls: readonly Call[] }
}

const RECONNECTED_MS = 1_000
/** Of each delivery the newest stay: what erases or removes a batch of them has a bound. */
export const MOST_RUNS = 100

/** Fenced by owner and attempt: a run that outlived its lease changes nothing, but is told of. */
export async function writeOutcomes(
  trx: Queries,
  ended: readonly Ended[],
  { owner, now }: { owner: string; now: number },
): Promise<void> {
  // Neither an erasure nor a reconnect of these events comes between what is read here and what is written.
  const eventIds = ended.flatMap(({ delivery }) => delivery.eventId ?? [])
  await lockShared(trx, eventIds.map(eventLock))
  const group = await withoutErased(trx, ended)
  const back = await reconnected(trx, group)
  const rows = group.map(ended => ({
    id: ended.delivery.id,
    attempt: ended.delivery.attempt,
    ...columns(ended, now, back.has(ended.delivery.id)),
  }))
  const [first] = rows
  await updateAlike(
    trx,
    rows.filter(row => isAlike(row, first)),
    owner,
  )
  await updateEach(
    trx,
    rows.filter(row => !isAlike(row, first)),
    owner,
  )
  const erasing = group.filter(isErasing)
  if (erasing.length > 0) await dropBodies(trx, erasing)
  await recordAttempts(trx, group)
}

interface Row extends ReturnType<typeof columns> {
  readonly id: number
  readonly attempt: number
}

const isAlike = (row: Row, other: Row | undefined) =>
  row.attempt === other?.attempt &&
  row.state === other.state &&
  row.attempts === other.attempts &&
  row.next_at === other.next_at &&
  row.last_error === other.last_error &&
  row.finished_at === other.finished_at

const UPDATE_ALIKE = statement(`update outcomes set state = $1, attempts = $2, next_at = $3, last_error = $4,
    finished_at = $5, lease_owner = null
  where id in (select cast(r.key as bigint) from json_each($6) as r)
    and attempts = $7 and state = 'running' and lease_owner = $8`)

/** Most handlers end well at the first run: of those only the ids differ, and SQLite takes a third of the time. */
async function updateAlike(trx: Queries, rows: readonly Row[], owner: string): Promise<void> {
  const [first] = rows
  if (!first) return
  const { state, attempts, next_at, last_error, finished_at, attempt } = first
  const list = idsText(rows.map(row => row.id))
  await UPDATE_ALIKE(trx, state, attempts, next_at, last_error, finished_at, list, attempt, owner)
}

async function updateEach(trx: Queries, rows: readonly Row[], owner: string): Promise<void> {
  if (rows.length === 0) return
  await sql`update outcomes set
      state = ${text('state')}, attempts = ${integer('attempts')}, next_at = ${integer('next_at')},
      last_error = ${text('last_error')}, finished_at = ${integer('finished_at')}, lease_owner = null
    from ${records(rows)}
    where outcomes.id = ${integer('id')} and outcomes.attempts = ${integer('attempt')}
      and outcomes.state = 'running' and outcomes.lease_owner = ${owner}`.execute(trx)
}

export const isErasing = ({ delivery, outcome }: Ended) =>
  delivery.type === DELETION_REQUIRED && outcome.state === 'done'

/** Of a run that was under way when its event was erased nothing is written but that it ended. */
async function withoutErased(trx: Queries, group: readonly Ended[]): Promise<readonly Ended[]> {
  const erased = await erasedAmong(
    trx,
    group.map(({ delivery }) => delivery),
  )
  return group.map(ended => {
    if (!erased.has(ended.delivery.id)) return ended
    const outcome = ended.outcome.state === 'done' ? ended.outcome : ({ state: 'ignored' } as const)
    return { ...ended, outcome, ...(ended.run ? { run: { ...ended.run, calls: [] } } : {}) }
  })
}

/** The organizer was quicker than the handler: nothing would wake a delivery that is parked after the reconnect. */
async function reconnected(trx: Queries, group: readonly Ended[]): Promise<Set<number>> {
  const parked = group.filter(({ outcome }) => outcome.state === 'parked').map(({ delivery }) => delivery.id)
  if (parked.length === 0) return new Set()
  const rows = await trx
    .selectFrom('outcomes')
    .innerJoin('connections', c =>
      c
        .onRef('connections.event_id', '=', 'outcomes.event_id')
        .onRef('connections.organization_id', '=', 'outcomes.organization_id')
        .onRef('connections.platform', '=', 'outcomes.platform'),
    )
    .select('outcomes.id')
    .where('outcomes.id', 'in', ids(parked))
    .where('connections.state', '=', 'connected')
    .execute()
  return new Set(rows.map(row => row.id))
}

/** What a delivery becomes; one that did not count, or was not tried, gets its attempt back. */
function columns(
  { delivery: { attempt }, outcome }: Ended,
  now: number,
  reconnected: boolean,
): Pick<Selectable<OutcomesTable>, 'state' | 'attempts' | 'next_at' | 'last_error' | 'finished_at'> {
  const same = { attempts: attempt, next_at: now, last_error: null, finished_at: null }
  switch (outcome.state) {
    case 'released':
      return { ...same, state: 'pending', attempts: attempt - 1 }
    case 'retry':
      return {
        ...same,
        state: 'pending',
        next_at: now + Math.ceil(outcome.delayMs),
        last_error: firstLine(outcome.error),
      }
    case 'postponed':
      return { ...same, state: 'pending', attempts: attempt - 1, next_at: now + Math.ceil(outcome.delayMs) }
    case 'parked':
      return reconnected
        ? { ...same, state: 'pending', next_at: now + RECONNECTED_MS }
        : { ...same, state: 'parked', attempts: attempt - 1, last_error: firstLine(outcome.error) }
    case 'dead':
      return { ...same, state: 'dead', last_error: firstLine(outcome.error), finished_at: now }
    default:
      return { ...same, state: outcome.state, finished_at: now }
  }
}

const dropBodies = (trx: Queries, erasing: readonly Ended[]) =>
  trx
    .updateTable('deliveries')
    .set({ body: null, headers: null })
    .where('id', 'in', eb =>
      eb
        .selectFrom('outcomes')
        .select('id')
        .where('id', 'in', ids(erasing.map(({ delivery }) => delivery.id)))
        .where('state', '=', 'done'),
    )
    .execute()

const INSERT_RUNS =
  statement(`insert into attempts (inbox_id, started_at, ended_at, attempt, outcome, error, calls)
  select cast(r.value ->> 'id' as bigint), cast(r.value ->> 'started_at' as bigint),
    cast(r.value ->> 'ended_at' as bigint), cast(r.value ->> 'attempt' as bigint), r.value ->> 'outcome',
    r.value ->> 'error', r.value ->> 'calls'
  from json_each($1) as r where true on conflict do nothing`)

/** Most runs differ by their times alone: then SQLite takes a quarter of what it takes to read each as an object. */
const INSERT_ALIKE = statement(`insert into attempts (inbox_id, started_at, ended_at, attempt, outcome)
  select cast(r.key as bigint), cast(r.value ->> 0 as bigint), cast(r.value ->> 1 as bigint), $1, $2
  from json_each($3) as r where true on conflict do nothing`)

type RunRow = ReturnType<typeof runsOf>[number]

const runsOf = (group: readonly Ended[]) =>
  group.flatMap(({ delivery, outcome, run }) =>
    run === undefined
      ? []
      : {
          id: delivery.id,
          attempt: delivery.attempt,
          started_at: run.startedAt,
          ended_at: run.endedAt,
          outcome: outcome.state,
          error: 'error' in outcome ? outcome.error : null,
          calls: run.calls.length > 0 ? JSON.stringify(run.calls) : null,
        },
  )

async function recordAttempts(trx: Queries, group: readonly Ended[]): Promise<void> {
  const rows = runsOf(group)
  const first = rows[0]
  if (!first) return
  const isAlike = (row: RunRow) =>
    row.attempt === first.attempt && row.outcome === first.outcome && row.error === null && row.calls === null
  const alike = rows.filter(isAlike)
  const times = alike.map(({ id, started_at, ended_at }) => `"${id}":[${started_at},${ended_at}]`).join()
  if (alike.length > 0) await INSERT_ALIKE(trx, first.attempt, first.outcome, `{${times}}`)
  if (alike.length < rows.length) await INSERT_RUNS(trx, recordsText(rows.filter(row => !isAlike(row))))
  const mayComeBack = rows.filter(({ outcome }) => outcome !== 'done' && outcome !== 'ignored')
  if (mayComeBack.length > 0)
    await forgetOldRuns(
      trx,
      mayComeBack.map(({ id }) => id),
    )
}

/** What waits for a connection or a limit runs again and again without being given up. */
const forgetOldRuns = (trx: Queries, deliveries: readonly number[]) =>
  trx
    .deleteFrom('attempts')
    .where('inbox_id', 'in', ids(deliveries))
    .where('started_at', '<', eb =>
      eb
        .selectFrom('attempts as newer')
        .select('newer.started_at')
        .whereRef('newer.inbox_id', '=', 'attempts.inbox_id')
        .orderBy('newer.started_at', 'desc')
        .limit(1)
        .offset(MOST_RUNS - 1),
    )
    .execute()

/** What a delivery becomes that runs again as if it were new. */
export const runAgain = (asked_at: number) => ({
  ...({ state: 'pending', attempts: 0, crashes: 0, next_at: 0 } as const),
  ...{ finished_at: null, last_error: null, asked_at },
})
