import { hash } from 'node:crypto'
import { sql } from 'kysely'
import type { Queries } from '../../storage/database.ts'
import type { DeliveryKeysTable, Platform } from '../../storage/schema.ts'
import { changeEach, ids, isPostgres, namesText, statement } from '../../storage/sql.ts'

/** What a delivery is recognized by. */
export interface Identified {
  readonly id: number
  readonly provider: string
  readonly platform: Platform
  readonly delivery_id: string | null
  readonly envelope_id: string
}

export interface Duplicate {
  readonly id: number
  readonly duplicateOf: number
  /** The signed envelope came before; otherwise only the unsigned delivery id did, with another body. */
  readonly sameEnvelope: boolean
}

/** 132 bits of a digest: short in the index, and a sender's ids do not outlive their delivery in it. */
const keyOf = (text: string) => hash('sha256', text, 'base64url').slice(0, 22)

/** The sender's name in a key, so that deliveries of the sandbox use up no key of the real platform. */
export const senderOf = ({ provider, platform }: Pick<Identified, 'provider' | 'platform'>) =>
  platform === 'sandbox' ? `sandbox ${provider}` : provider

/** The delivery id is documented as the key but is not signed; the envelope's id is. Either one marks a repeat. */
export function keysOf(row: Omit<Identified, 'id'>) {
  const sender = senderOf(row)
  return {
    envelope: keyOf(`${sender} envelope ${row.envelope_id}`),
    delivery: row.delivery_id === null ? undefined : keyOf(`${sender} delivery ${row.delivery_id}`),
  }
}

/**
 * Finds which of these repeat each other or what came before, and records the keys of the rest. A repeat's keys are
 * not recorded: a replayed body under somebody else's delivery id must not use that id up. One transaction does so at a time.
 */
export async function findDuplicates(trx: Queries, rows: readonly Identified[]): Promise<Duplicate[]> {
  if (rows.length === 0) return []
  const keyed = rows.map(row => {
    const { envelope, delivery } = keysOf(row)
    return { id: row.id, envelope, delivery }
  })
  const owners = await ownersOf(
    trx,
    keyed.flatMap(({ envelope, delivery }) => (delivery === undefined ? [envelope] : [envelope, delivery])),
  )
  const duplicates: Duplicate[] = []
  const fresh: { key: string; id: number }[] = []
  for (const { id, envelope, delivery } of keyed) {
    const byEnvelope = owners.get(envelope)
    const first = byEnvelope ?? (delivery === undefined ? undefined : owners.get(delivery))
    if (first !== undefined && first !== id) {
      duplicates.push({ id, duplicateOf: first, sameEnvelope: byEnvelope !== undefined })
      continue
    }
    for (const key of [envelope, delivery]) {
      if (key === undefined || owners.has(key)) continue
      owners.set(key, id)
      fresh.push({ key, id })
    }
  }
  // Keys are written in the order of the index: neighbours share a page, and its place in the log.
  fresh.sort((a, b) => (a.key < b.key ? -1 : 1))
  if (fresh.length > 0) await recordKeys(trx, fresh)
  return duplicates
}

const recordAll = statement(`insert into delivery_keys (key, inbox_id)
  select r.key, cast(cast(r.value as text) as bigint) from json_each($1) as r`)
const recordEach = changeEach('insert into delivery_keys (key, inbox_id) values ($1, $2)')

/** No key needs an escape, so the members of the object are joined here: an object with so many names takes longer. */
const recordKeys = (trx: Queries, rows: readonly { key: string; id: number }[]) =>
  isPostgres(trx)
    ? recordAll(trx, `{${rows.map(({ key, id }) => `"${key}":${id}`).join()}}`)
    : recordEach(
        trx,
        rows.map(({ key, id }) => [key, id]),
      )

const ownersAmong = statement<DeliveryKeysTable>(
  `select key, inbox_id from delivery_keys where key in (select r.key from json_each($1) as r)`,
)

async function ownersOf(trx: Queries, keys: readonly string[]): Promise<Map<string, number>> {
  if (keys.length === 0) return new Map()
  const rows = await ownersAmong(trx, namesText(keys))
  return new Map(rows.map(({ key, inbox_id }) => [key, inbox_id]))
}

/** Removes the keys of deliveries that are removed, so that a later repeat of one counts as new. */
export async function forget(trx: Queries, rows: readonly Identified[]): Promise<void> {
  const keys = rows.flatMap(row => Object.values(keysOf(row))).filter(key => key !== undefined)
  await trx
    .deleteFrom('delivery_keys')
    .where('key', 'in', sql<string>`(select r.key from json_each(${namesText(keys)}) as r)`)
    .where('inbox_id', 'in', ids(rows.map(row => row.id)))
    .execute()
}
