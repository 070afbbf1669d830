import type { Runtime } from '../process/runtime.ts'
import { DELETION_REQUIRED } from '../revento/platform.ts'
import type { Queries } from './database.ts'
import { isOf, type Owner } from './erasures.ts'
import { documented } from './participant-rows.ts'
import { byteBatch, deliveryBytes, ids, isPostgres, transaction } from './sql.ts'
import { writeLog } from './sqlite/log.ts'

/** With this many rows a batch blocks the event loop (SQLite) or the rows (PostgreSQL) for some milliseconds. */
const ROWS = 200
const PAUSE_MS = 5

/**
 * Removes what `markErased` marked, in committed batches, so that the next call goes on after a crash. The type, times and
 * ids of a delivery stay; one that waited becomes `ignored`. False where the signal fired first.
 */
export async function sweep(
  query: Queries,
  owner: Owner,
  runtime: Pick<Runtime, 'now' | 'sleep'>,
  signal: AbortSignal,
): Promise<boolean> {
  for (const batch of [
    participantsBatch(query, owner),
    activitiesBatch(query, owner),
    signInsBatch(query, owner),
    deliveriesBatch(query, owner, runtime),
  ])
    while (await batch()) {
      await writeLog(query)
      // SQLite answers without a turn of the event loop: the pause lets other work run.
      await runtime.sleep(PAUSE_MS, signal).catch(() => {})
      if (signal.aborted) return false
    }
  return true
}

/** Removes one batch; false when nothing was left. */
type Batch = () => Promise<boolean>

const throughOf = async (trx: Queries, owner: Owner) =>
  trx
    .selectFrom('erasures')
    .select(['through', 'swept'])
    .where(isOf(owner))
    // Locks the row, so that two instances take different batches.
    .$if(isPostgres(trx), select => select.forUpdate())
    .executeTakeFirst()

/** Facts from later deliveries belong to a newer consent, and stay. */
function participantsBatch(query: Queries, owner: Owner): Batch {
  let after = ''
  return () =>
    transaction(query, async trx => {
      const erasure = await throughOf(trx, owner)
      if (!erasure) return false
      const rows = await trx
        .selectFrom('participants')
        .select('participant_id')
        .where(isOf(owner))
        .where('participant_id', '>', after)
        .orderBy('participant_id')
        .limit(ROWS)
        .execute()
      const last = rows.at(-1)?.participant_id
      if (last === undefined) return false
      const { through } = erasure
      const between = trx
        .updateTable('participants')
        .where(isOf(owner))
        .where('participant_id', '>', after)
        .where('participant_id', '<=', last)
      const none = { name: null, name_at: null, name_delivery: null }
      await between.set(none).where('name_delivery', '<=', through).execute()
      const noStatus = { application_status: null, status_at: null, status_delivery: null }
      await between.set(noStatus).where('status_delivery', '<=', through).execute()
      const noData = { data: null, data_at: null, data_delivery: null, ...documented({}) }
      await between.set(noData).where('data_delivery', '<=', through).execute()
      await trx
        .deleteFrom('participants')
        .where(isOf(owner))
        .where('participant_id', '>', after)
        .where('participant_id', '<=', last)
        .where('last_delivery', '<=', through)
        .where('name_delivery', 'is', null)
        .where('status_delivery', 'is', null)
        .where('data_delivery', 'is', null)
        .execute()
      after = last
      return true
    })
}

/** What was read under a newer consent stays. */
function activitiesBatch(query: Queries, owner: Owner): Batch {
  return () =>
    transaction(query, async trx => {
      const erasure = await throughOf(trx, owner)
      if (!erasure) return false
      const erased = trx.selectFrom('activities').select('activity_id').where(isOf(owner))
      const batch = erased.where('data_delivery', '<=', erasure.through).limit(ROWS)
      const { numDeletedRows } = await trx
        .deleteFrom('activities')
        .where(isOf(owner))
        .where('data_delivery', '<=', erasure.through)
        .where('activity_id', 'in', batch)
        .executeTakeFirst()
      return numDeletedRows > 0n
    })
}

/** Removes participants who signed in under an earlier connection than the present one, if there is one. */
function signInsBatch(query: Queries, owner: Owner): Batch {
  return () =>
    transaction(query, async trx => {
      const standing = await trx
        .selectFrom('connections')
        .select('connected_at')
        .where(isOf(owner))
        .where('state', '<>', 'deleted')
        .executeTakeFirst()
      const rows = trx
        .selectFrom('sign_ins')
        .select('id')
        .where(isOf(owner))
        .$if(standing !== undefined, earlier => earlier.where('under', '<>', standing?.connected_at ?? 0))
        .limit(ROWS)
      const { numDeletedRows } = await trx.deleteFrom('sign_ins').where('id', 'in', rows).executeTakeFirst()
      return numDeletedRows > 0n
    })
}

function deliveriesBatch(query: Queries, owner: Owner, runtime: Pick<Runtime, 'now'>): Batch {
  return () =>
    transaction(query, async trx => {
      const erasure = await throughOf(trx, owner)
      if (!erasure) return false
      const rows = await nextRows(trx, owner, erasure)
      const last = rows.at(-1)?.id
      if (last === undefined) return false
      const own = rows.filter(row => isOwn(row, owner)).map(row => row.id)
      if (own.length > 0) await emptyDeliveries(trx, own, runtime.now())
      await trx.updateTable('erasures').set({ swept: last }).where(isOf(owner)).execute()
      return true
    })
}

/** Reads in the order of the index on (event, organization, id), so that a batch reads only its own rows. */
async function nextRows(
  trx: Queries,
  { event_id, organization_id }: Owner,
  { through, swept }: { through: number; swept: number },
) {
  const rows = await trx
    .selectFrom('deliveries as inbox')
    .select(['id', 'platform', 'type'])
    .select(deliveryBytes.as('bytes'))
    .where('event_id', '=', event_id)
    .where(eb =>
      organization_id === ''
        ? eb('organization_id', 'is', null)
        : eb('organization_id', '=', organization_id),
    )
    .where('id', '>', swept)
    .where('id', '<=', through)
    .orderBy('id')
    .limit(ROWS)
    .execute()
  return byteBatch(rows)
}

/** Endings keep their bodies until they are done, because they may have to run again. */
const isOwn = (row: { platform: string; type: string }, { platform }: Owner) =>
  row.platform === platform && row.type !== DELETION_REQUIRED

export async function emptyDeliveries(
  trx: Queries,
  deliveries: readonly number[],
  now: number,
): Promise<void> {
  await trx
    .updateTable('deliveries')
    .set({ body: null, headers: null })
    .where('id', 'in', ids(deliveries))
    .where('body', 'is not', null)
    .execute()
  await trx
    .updateTable('outcomes')
    .set({ last_error: null })
    .where('id', 'in', ids(deliveries))
    .where('last_error', 'is not', null)
    .execute()
  await trx
    .updateTable('outcomes')
    .set({ state: 'ignored', finished_at: now, lease_owner: null })
    .where('id', 'in', ids(deliveries))
    .where('state', 'in', ['pending', 'parked', 'dead'])
    .execute()
  await trx
    .updateTable('attempts')
    .set({ error: null, calls: null })
    .where('inbox_id', 'in', ids(deliveries))
    .where(eb => eb.or([eb('error', 'is not', null), eb('calls', 'is not', null)]))
    .execute()
  for (const table of ['inline_answers', 'effects'] as const)
    await trx.deleteFrom(table).where('inbox_id', 'in', ids(deliveries)).execute()
}
