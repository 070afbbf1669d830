import { type SqlBool, sql } from 'kysely'
import { isPlausible } from '../process/trusted-time.ts'
import { momentOf } from '../revento/events.ts'
import { DELETION_REQUIRED } from '../revento/platform.ts'
import type { Queries } from './database.ts'
import type { ConnectionRow, ErasuresTable } from './schema.ts'
import { eventLock, lock, namesText, statement } from './sql.ts'

/** The (platform, event, organization) that data belongs to. */
export type Owner = Pick<ErasuresTable, 'platform' | 'event_id' | 'organization_id'>

/**
 * `connected_at` is by our clock, `occurred_at` by Revento's, perhaps without its fraction of a second. Two seconds are
 * more than synchronised clocks differ by, and less than a person takes to end a connection and consent anew.
 */
export const MARGIN_MS = 2_000

/** Every delivery of the event is erased, also later ones, until the organizer consents again. */
const ALL = Number.MAX_SAFE_INTEGER

/** The owner and connection that a data.deletion_required ends. */
export interface Ending {
  readonly owner: Owner
  /** False: the connection was made after the ending, and stays with what came by deliveries after its consent. */
  readonly endsConnection: boolean
  /** False: the envelope has no time, so the ending counts as older than any connection. */
  readonly dated: boolean
}

/**
 * Marks the data that a data.deletion_required is about as erased, and ends its connection. From this commit on none of
 * its deliveries is handled and no participant stored; `sweep` removes the rest. Undefined where it names no event.
 */
export async function markErased(trx: Queries, deliveryId: number, now: number): Promise<Ending | undefined> {
  const delivery = await trx
    .selectFrom('deliveries')
    .select(['id', 'platform', 'event_id', 'organization_id', 'received_at', 'body'])
    .where('id', '=', deliveryId)
    .where('type', '=', DELETION_REQUIRED)
    .executeTakeFirst()
  if (!delivery || delivery.event_id === null) return undefined
  const { platform, event_id, organization_id } = delivery
  const owner = { platform, event_id, organization_id: organization_id ?? '' }
  await lock(trx, eventLock(event_id))
  const connection = await trx
    .selectFrom('connections')
    .select(['connected_at', 'after_delivery'])
    .where(isOf(owner))
    .executeTakeFirst()
  const occurredAt = momentOf(memberOf(delivery.body, 'occurred_at'))
  const newer = connection && isNewer(connection, delivery, occurredAt) ? connection : undefined
  const through = newer ? newer.after_delivery : ALL
  await trx
    .insertInto('erasures')
    .values({ ...owner, erased_at: now, through, swept: 0, ending: deliveryId })
    .onConflict(c =>
      c
        .columns(['platform', 'event_id', 'organization_id'])
        .doUpdateSet({ erased_at: now, through, ending: deliveryId })
        .where('erasures.through', '<=', through),
    )
    .execute()
  if (!newer) {
    await endConnection(trx, owner, now)
    // Nothing is known of the event any more: the next run is its first, and one under way finds its row gone.
    await trx.deleteFrom('sync_runs').where(isOf(owner)).execute()
  }
  return { owner, endsConnection: !newer, dated: occurredAt !== undefined }
}

/** Whether the connection is newer than the ending, and so is not ended by it. */
function isNewer(
  { connected_at, after_delivery }: Pick<ConnectionRow, 'connected_at' | 'after_delivery'>,
  { id, received_at }: { id: number; received_at: number },
  occurredAt: number | undefined,
): boolean {
  // The ending came before the consent, so it is about an earlier consent.
  if (id <= after_delivery) return true
  // The ending came after the consent, which our clock dates later: that clock was wrong, and most endings come at once.
  if (!isPlausible(connected_at, received_at)) return false
  return occurredAt === undefined || connected_at > occurredAt + MARGIN_MS
}

/** Reads a member of a body; undefined where the body is no JSON object or has no such member. */
export function memberOf(body: Uint8Array | null, name: string): unknown {
  try {
    return (JSON.parse(Buffer.from(body ?? []).toString()) as Record<string, unknown>)[name]
  } catch {
    return undefined
  }
}

async function endConnection(trx: Queries, owner: Owner, now: number): Promise<void> {
  await trx
    .updateTable('connections')
    .set(eb => ({
      state: 'deleted',
      reason: 'data_deletion_required',
      access_token: null,
      refresh_token: null,
      version: eb('version', '+', 1),
      updated_at: now,
    }))
    .where(isOf(owner))
    .execute()
}

/** Allows, after a new consent, to store what comes from now on. Returns the newest delivery from before. */
export async function allowAgain(trx: Queries, owner: Owner): Promise<number> {
  const newest = await trx
    .selectFrom('deliveries')
    .select(eb => eb.fn.max<number | null>('id').as('id'))
    .executeTakeFirst()
  const through = Number(newest?.id ?? 0)
  await trx
    .updateTable('erasures')
    .set({ through })
    .where(isOf(owner))
    .where('through', '>', through)
    .execute()
  // The facts of a comparison have the number after its consent's last delivery, which may be above `through`.
  for (const fact of ['name_delivery', 'status_delivery', 'data_delivery'] as const)
    await trx
      .updateTable('participants')
      .set({ [fact]: through })
      .where(isOf(owner))
      .where(fact, '>', through)
      .execute()
  await trx
    .updateTable('activities')
    .set({ data_delivery: through })
    .where(isOf(owner))
    .where('data_delivery', '>', through)
    .execute()
  return through
}

/** Selects inbox rows that are erased or have to be, without endings themselves, which may have to run again. */
export const isErased = sql<SqlBool>`(inbox.type <> ${sql.lit(DELETION_REQUIRED)} and exists (
  select 1 from erasures where erasures.platform = inbox.platform and erasures.event_id = inbox.event_id
    and erasures.organization_id = coalesce(inbox.organization_id, '') and erasures.through >= inbox.id))`

/** The members of a delivery that decide, with the erasures, whether it is erased. */
export interface Erasable {
  readonly id: number
  readonly type: string
  readonly platform: Owner['platform']
  readonly eventId: string | null
  readonly organizationId: string | null
}

const erasuresOf = statement<Pick<ErasuresTable, 'event_id' | 'organization_id' | 'through'>>(
  `select event_id, organization_id, through from erasures
  where platform = $1 and event_id in (select r.key from json_each($2) as r)`,
)

/**
 * Which of these deliveries, all of one platform, are erased: a delivery under way during an erasure must not bring data
 * back. Reads the erasures of their events, which are few and mostly none, and no delivery: see `isErased`.
 */
export async function erasedAmong(query: Queries, deliveries: readonly Erasable[]): Promise<Set<number>> {
  const events = new Set(deliveries.map(({ eventId }) => eventId).filter(id => id !== null))
  const [first] = deliveries
  if (!first || events.size === 0) return new Set()
  const erasures = await erasuresOf(query, first.platform, namesText(events))
  const isErased = (d: Erasable) =>
    d.type !== DELETION_REQUIRED &&
    erasures.some(
      e => e.event_id === d.eventId && e.organization_id === (d.organizationId ?? '') && e.through >= d.id,
    )
  return new Set((erasures.length > 0 ? deliveries.filter(isErased) : []).map(({ id }) => id))
}

export const isOf = ({ platform, event_id, organization_id }: Owner) =>
  sql<SqlBool>`(platform = ${platform} and event_id = ${event_id} and organization_id = ${organization_id})`
