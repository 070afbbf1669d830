import type { Log } from '../../process/log.ts'
import type { Runtime } from '../../process/runtime.ts'
import { isOlderThan, isPlausible, latestEnd, type SteadyClock } from '../../process/trusted-time.ts'
import { type AgedRows, tidyAged } from '../../storage/aged-rows.ts'
import type { Queries } from '../../storage/database.ts'
import { byteBatch, deliveryBytes, ids, isPostgres, transaction } from '../../storage/sql.ts'
import { writeLog } from '../../storage/sqlite/log.ts'
import { forget } from './dedupe.ts'

export interface RetentionOptions {
  readonly query: Queries
  readonly days: number
  /** Bodies and error texts of handled deliveries go that many days after they came; at most `days`. */
  readonly payloadDays: number
  readonly clock: SteadyClock
  /** Rows of other rooms that expire, which are removed here too. */
  readonly aged: readonly AgedRows[]
  readonly log: Log
}

const DAY_MS = 24 * 3_600_000
const EVERY_MS = 3_600_000
/** One batch holds up the event loop for a few milliseconds; the pause lets everybody else go first. */
const BATCH = 200
const PAUSE_MS = 50

/** Once an hour: removes what ended more than `days` ago, by a clock that has run steadily for an hour. */
export async function watchRetention(
  o: RetentionOptions,
  runtime: Runtime,
  signal: AbortSignal,
): Promise<void> {
  await compareClock(o).catch(() => {})
  while (!signal.aborted) {
    await clean(o, runtime, signal).catch(err => {
      if (!signal.aborted)
        o.log.error({ part: 'retention', err }, 'cannot remove old deliveries; trying again')
    })
    await runtime.sleep(EVERY_MS, signal).catch(() => {})
  }
}

/** Warns of a wrong clock an hour before anything is removed, so that whoever reads the log can set it in time. */
async function compareClock({ query, clock, days, log }: RetentionOptions): Promise<void> {
  const newest = await query
    .selectFrom('deliveries')
    .select('received_at')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (!newest) return
  const now = clock.now()
  const fields = { part: 'clock', newest_delivery: new Date(newest.received_at).toISOString() }
  if (!isPlausible(newest.received_at, now))
    log.warn(fields, 'the newest delivery is from the future: the clock is behind, or was ahead')
  if (isOlderThan(newest.received_at, days * DAY_MS, now))
    log.warn(
      fields,
      'by this clock everything stored is older than RETENTION_DAYS, and goes in an hour: check the clock',
    )
}

async function clean(o: RetentionOptions, runtime: Runtime, signal: AbortSignal): Promise<void> {
  const { query, clock, log } = o
  const pause = async () => {
    await writeLog(query)
    await runtime.sleep(PAUSE_MS, signal)
  }
  await tidyAged(query, o.aged, clock, pause)
  const payloads = await dropPayloads(o, pause)
  const total = { payloads, removed: 0, given_up: 0 }
  for (let after: number | undefined = 0; after !== undefined; ) {
    const before = clock.oldBefore(o.days * DAY_MS)
    if (before === undefined) return
    const batch = await cleanBatch(query, before, after, clock.now())
    total.removed += batch.removed
    total.given_up += batch.givenUp
    after = batch.last
    if (after !== undefined) await pause()
  }
  if (total.payloads + total.removed + total.given_up > 0)
    log.info({ part: 'retention', ...total }, 'removed old deliveries; gave up those parked as long')
}

/**
 * Reads deliveries in the order they came, up to the first that is too new, and removes them with their runs and dedupe
 * keys. A parked one becomes dead, since nobody came back to its event, and goes after as long again. The newest row of all
 * stays, so that no later delivery gets its number again.
 */
function cleanBatch(query: Queries, before: number, after: number, now: number) {
  return transaction(query, async trx => {
    const found = await trx
      .selectFrom('deliveries as inbox')
      .select(['id', 'received_at'])
      .select(deliveryBytes.as('bytes'))
      .where('id', '>', after)
      .where('id', '<', eb => eb.selectFrom('deliveries').select(e => e.fn.max<number>('id').as('newest')))
      .orderBy('id')
      .limit(BATCH)
      .execute()
    const rows = byteBatch(found)
    // A delivery from the future came under a wrong clock, and says nothing of those behind it.
    const newer = rows.findIndex(row => row.received_at >= before && isPlausible(row.received_at, now))
    const old = newer === -1 ? rows : rows.slice(0, newer)
    // A delivery that came before an old one is old itself, whatever the clock said.
    const aged = old.slice(0, old.findLastIndex(row => row.received_at < before) + 1)
    const ended = await endedBefore(trx, old, aged, before)
    await mendEnds(trx, old, now)
    const gone = ended.filter(row => row.state !== 'parked')
    const parked = ended.filter(row => row.state === 'parked').map(row => row.id)
    if (gone.length > 0) {
      await forget(trx, gone)
      const list = ids(gone.map(row => row.id))
      for (const table of ['attempts', 'effects', 'reruns'] as const)
        await trx.deleteFrom(table).where('inbox_id', 'in', list).execute()
      for (const table of ['outcomes', 'deliveries'] as const)
        await trx.deleteFrom(table).where('id', 'in', list).execute()
    }
    if (parked.length > 0)
      await trx
        .updateTable('outcomes')
        .set({ state: 'dead', finished_at: now, last_error: 'parked, and nobody connected its event again' })
        .where('id', 'in', ids(parked))
        .execute()
    const isAll = rows.length === found.length && found.length < BATCH
    const last = newer === -1 && !isAll ? rows.at(-1)?.id : undefined
    return { removed: gone.length, givenUp: parked.length, last }
  })
}

/**
 * Removes bodies, but not the rows by which repeats are found. Open, parked and dead deliveries keep theirs, since they may
 * have to run. Reads past bodies that are gone already; a delivery that ends late is met the next time.
 */
async function dropPayloads(o: RetentionOptions, pause: () => Promise<unknown>): Promise<number> {
  let dropped = 0
  if (o.payloadDays >= o.days) return dropped
  for (let after = 0; ; await pause()) {
    const before = o.clock.oldBefore(o.payloadDays * DAY_MS)
    if (before === undefined) return dropped
    const now = o.clock.now()
    const found = await o.query
      .selectFrom('inbox')
      .select(['id', 'received_at'])
      .select(deliveryBytes.as('bytes'))
      .select(eb => eb.and([eb('state', 'in', ['done', 'ignored']), eb('body', 'is not', null)]).as('held'))
      .where('id', '>', after)
      .orderBy('id')
      .limit(BATCH)
      .execute()
    const rows = byteBatch(found)
    // A delivery from the future came under a wrong clock, and says nothing of those behind it.
    const newer = rows.findIndex(row => row.received_at >= before && isPlausible(row.received_at, now))
    const old = newer === -1 ? rows : rows.slice(0, newer)
    const list = old.filter(row => row.held && isOlderThan(row.received_at, 0, before)).map(row => row.id)
    if (list.length > 0) dropped += await dropBodies(o.query, list)
    const last = old.at(-1)
    const isAll = rows.length === found.length && found.length < BATCH
    if (newer !== -1 || isAll || !last) return dropped
    after = last.id
  }
}

function dropBodies(query: Queries, list: readonly number[]): Promise<number> {
  return transaction(query, async trx => {
    const { numUpdatedRows } = await trx
      .updateTable('outcomes')
      .set({ last_error: null })
      .where('id', 'in', ids(list))
      // A delivery that somebody replays at this moment is left out.
      .where('state', 'in', ['done', 'ignored'])
      .executeTakeFirst()
    await trx
      .updateTable('deliveries')
      .set({ body: null, headers: null })
      .where('id', 'in', eb =>
        eb
          .selectFrom('outcomes')
          .select('id')
          .where('id', 'in', ids(list))
          .where('state', 'in', ['done', 'ignored']),
      )
      .execute()
    await trx.updateTable('attempts').set({ error: null }).where('inbox_id', 'in', ids(list)).execute()
    // A delivery without a body does not run again, so its effects go too.
    await trx
      .deleteFrom('effects')
      .where('inbox_id', 'in', eb =>
        eb.selectFrom('deliveries').select('id').where('id', 'in', ids(list)).where('body', 'is', null),
      )
      .execute()
    return Number(numUpdatedRows)
  })
}

interface Row {
  readonly id: number
}

/** Locks only rows that have ended: claims skip locked rows, and a new delivery would lose its place. */
function endedBefore(trx: Queries, rows: readonly Row[], aged: readonly Row[], before: number) {
  const old = ids(aged.map(row => row.id))
  return (
    trx
      .selectFrom('outcomes')
      .innerJoin('deliveries', 'deliveries.id', 'outcomes.id')
      .select(['outcomes.id', 'provider', 'deliveries.platform', 'delivery_id', 'envelope_id', 'state'])
      .where('outcomes.id', 'in', ids(rows.map(row => row.id)))
      .where(eb =>
        eb.or([
          eb.and([eb('state', '=', 'parked'), eb('outcomes.id', 'in', old)]),
          eb('finished_at', '<', before),
        ]),
      )
      // Rows that somebody replays or resumes at this moment are left for the next time.
      .$if(isPostgres(trx), select => select.forUpdate('outcomes').skipLocked())
      .execute()
  )
}

/** Deliveries that ended under a clock that was ahead stay as long as those that end now. */
const mendEnds = (trx: Queries, rows: readonly Row[], now: number) =>
  trx
    .updateTable('outcomes')
    .set(eb => ({
      finished_at: now,
      started_at: eb
        .case()
        .when('started_at', '>', latestEnd(now, 0))
        .then(now)
        .else(eb.ref('started_at'))
        .end(),
    }))
    .where('id', 'in', ids(rows.map(row => row.id)))
    .where('finished_at', '>', latestEnd(now, 0))
    .execute()
