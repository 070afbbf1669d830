import { type Selectable, sql } from 'kysely'
import { firstLine } from '../../process/errors.ts'
import { DELETION_REQUIRED } from '../../revento/platform.ts'
import type { Call } from '../../revento/request.ts'
import type { Queries } from '../../storage/database.ts'
import { type Erasable, erasedAmong } from '../../storage/erasures.ts'
import type { OutcomesTable } from '../../storage/schema.ts'
import {
  change,
  changeEach,
  eventLock,
  ids,
  integer,
  isPostgres,
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
  /** Left out where the delivery was given back before its run began. Times are ms since 1970. */
  readonly run?: { readonly startedAt: number; readonly endedAt: number; readonly calls: readonly Call[] }
}

const RECONNECTED_MS = 1_000
/** The newest runs of a delivery that stay, so that a batch that erases or removes them has a bound. */
export const MOST_RUNS = 100

/** Stores outcomes, fenced by owner and attempt: a run that outlived its lease changes nothing, but has a row of its own. */
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
  const others = await settleOnlyRuns(trx, group, owner)
  await updateEach(
    trx,
    others.map(ended => ({
      id: ended.delivery.id,
      attempt: ended.delivery.attempt,
      ...columns(ended, now, back.has(ended.delivery.id)),
    })),
    owner,
  )
  const erasing = group.filter(isErasing)
  if (erasing.length > 0) await dropBodies(trx, erasing)
  await recordRuns(trx, others)
}

interface Row extends ReturnType<typeof columns> {
  readonly id: number
  readonly attempt: number
}

/** Whether only the times of a run are worth storing: most deliveries have one run, which ends well without calls. */
const isOnlyRun = (ended: Ended): ended is OnlyRun =>
  ended.delivery.attempt === 1 && ended.outcome.state === 'done' && ended.run?.calls.length === 0
type OnlyRun = Ended & Required<Pick<Ended, 'run'>>

const END = `update outcomes set state = 'done', last_error = null, lease_owner = null,`
const endEach = changeEach(`${END} started_at = $1, finished_at = $2
  where id = $3 and attempts = 1 and state = 'running' and lease_owner = $4`)
const endAll =
  change(`${END} started_at = cast(r.value ->> 0 as bigint), finished_at = cast(r.value ->> 1 as bigint)
  from json_each($1) as r where outcomes.id = cast(r.key as bigint)
  and outcomes.attempts = 1 and outcomes.state = 'running' and outcomes.lease_owner = $2`)

const endOnlyRuns = (trx: Queries, only: readonly OnlyRun[], owner: string) => {
  const rows = only.map(({ delivery, run }) => [run.startedAt, run.endedAt, delivery.id] as const)
  return isPostgres(trx)
    ? endAll(trx, `{${rows.map(([from, to, id]) => `"${id}":[${from},${to}]`).join()}}`, owner)
    : endEach(
        trx,
        rows.map(row => [...row, owner]),
      )
}

/** Stores such runs in the rows of their deliveries, so that they need no rows of their own. Returns the other runs. */
async function settleOnlyRuns(trx: Queries, group: readonly Ended[], owner: string): Promise<Ended[]> {
  const only = group.filter(isOnlyRun)
  if (only.length === 0) return [...group]
  const ended = await endOnlyRuns(trx, only, owner)
  const others = group.filter(ended => !isOnlyRun(ended))
  return ended === only.length ? others : [...others, ...(await outlived(trx, only))]
}

/** Those of `only` that outlived their lease: the delivery's row has another run, or none yet. */
async function outlived(trx: Queries, only: readonly OnlyRun[]): Promise<Ended[]> {
  const rows = await trx
    .selectFrom('outcomes')
    .select(['id', 'started_at'])
    .where('id', 'in', ids(only.map(({ delivery }) => delivery.id)))
    .execute()
  const startedAt = new Map(rows.map(row => [row.id, row.started_at]))
  return only.filter(({ delivery, run }) => startedAt.get(delivery.id) !== run.startedAt)
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

/** Reduces runs that were under way when their event was erased to the fact that they ended. */
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

/** Those to be parked whose organizer has reconnected meanwhile: nothing would wake a delivery that is parked now. */
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

/** The new columns of a delivery. One whose run did not count, or did not begin, gets its attempt back. */
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

async function recordRuns(trx: Queries, group: readonly Ended[]): Promise<void> {
  const rows = runsOf(group)
  if (rows.length === 0) return
  await INSERT_RUNS(trx, recordsText(rows))
  const mayComeBack = rows.filter(({ outcome }) => outcome !== 'done' && outcome !== 'ignored')
  if (mayComeBack.length > 0)
    await forgetOldRuns(
      trx,
      mayComeBack.map(({ id }) => id),
    )
}

/** Removes old runs: a delivery that waits for a connection or a limit runs again and again without becoming dead. */
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

/** The new columns of a delivery that runs again as if it were new. */
export const runAgain = (asked_at: number) => ({
  ...({ state: 'pending', attempts: 0, crashes: 0, next_at: 0 } as const),
  ...{ started_at: null, finished_at: null, last_error: null, asked_at },
})
