import type { Log } from '../log.ts'
import type { Runtime } from '../runtime.ts'
import type { Queries } from '../storage/database.ts'
import { isPostgres } from '../storage/dialect.ts'
import { ids } from '../storage/records.ts'
import { transaction } from '../storage/transaction.ts'
import { forget } from './dedupe.ts'
import { deleteAnswersBefore } from './inline-answers.ts'

export interface RetentionOptions {
  readonly query: Queries
  readonly days: number
  readonly log: Log
}

const DAY_MS = 24 * 3_600_000
const EVERY_MS = 3_600_000
/** One batch holds up the event loop for a few milliseconds; the pause lets everybody else go first. */
const BATCH = 200
const PAUSE_MS = 50

/** At start and once an hour: removes what ended more than `days` ago, until the signal fires. */
export async function watchRetention(
  o: RetentionOptions,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await clean(o, runtime, signal).catch(err => {
      if (!signal.aborted)
        o.log.error({ part: 'retention', err }, 'cannot remove old deliveries; trying again')
    })
    await runtime.sleep(EVERY_MS, signal).catch(() => {})
  }
}

async function clean({ query, days, log }: RetentionOptions, runtime: Runtime, signal: AbortSignal) {
  const before = runtime.now() - days * DAY_MS
  const total = { removed: 0, given_up: 0 }
  let after = 0
  while (!signal.aborted) {
    const batch = await cleanBatch(query, before, after, runtime.now())
    total.removed += batch.removed
    total.given_up += batch.givenUp
    if (batch.last === undefined) break
    after = batch.last
    await runtime.sleep(PAUSE_MS, signal).catch(() => {})
  }
  await deleteAnswersBefore(query, before, () => runtime.sleep(PAUSE_MS, signal))
  if (total.removed + total.given_up > 0)
    log.info({ part: 'retention', ...total }, 'removed old deliveries; gave up those parked as long')
}

/**
 * Deliveries are read in the order they came, up to the first that is too new. One goes with its runs and its dedupe
 * keys. A parked one becomes dead, and goes after as long again: nobody came back to its event. The newest row of all
 * stays, so that no later delivery gets its number again.
 */
function cleanBatch(query: Queries, before: number, after: number, now: number) {
  return transaction(query, async trx => {
    const rows = await trx
      .selectFrom('inbox')
      .select(['id', 'received_at'])
      .where('id', '>', after)
      .where('id', '<', eb => eb.selectFrom('inbox').select(e => e.fn.max<number>('id').as('newest')))
      .orderBy('id')
      .limit(BATCH)
      .execute()
    // One from the future came under a clock that was wrong: it says nothing of those behind it.
    const newer = rows.findIndex(row => row.received_at >= before && row.received_at <= now)
    const old = newer === -1 ? rows : rows.slice(0, newer)
    const ended = await endedBefore(trx, old, before)
    const gone = ended.filter(row => row.state !== 'parked')
    const parked = ended.filter(row => row.state === 'parked').map(row => row.id)
    if (gone.length > 0) {
      await forget(trx, gone)
      const list = ids(gone.map(row => row.id))
      await trx.deleteFrom('attempts').where('inbox_id', 'in', list).execute()
      await trx.deleteFrom('inbox').where('id', 'in', list).execute()
    }
    if (parked.length > 0)
      await trx
        .updateTable('inbox')
        .set({ state: 'dead', finished_at: now, last_error: 'parked, and nobody connected its event again' })
        .where('id', 'in', ids(parked))
        .execute()
    const last = newer === -1 && rows.length === BATCH ? rows.at(-1)?.id : undefined
    return { removed: gone.length, givenUp: parked.length, last }
  })
}

/** Only these are locked: claims pass over what is, and what is new would lose its place. */
function endedBefore(trx: Queries, rows: readonly { id: number }[], before: number) {
  return (
    trx
      .selectFrom('inbox')
      .select(['id', 'provider', 'platform', 'delivery_id', 'envelope_id', 'state'])
      .where('id', 'in', ids(rows.map(row => row.id)))
      .where(eb => eb.or([eb('state', '=', 'parked'), eb('finished_at', '<', before)]))
      // What somebody replays or resumes at this moment is left for the next time.
      .$if(isPostgres(trx), select => select.forUpdate().skipLocked())
      .execute()
  )
}
