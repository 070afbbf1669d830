import { sql } from 'kysely'
import type { Runtime } from '../runtime.ts'
import type { Queries } from './database.ts'
import { alone } from './dialect.ts'
import { tablesOf } from './migrate.ts'
import { checkPlace, tokenPlace } from './sealed-places.ts'
import { keyIdOf, type Place, type Sealer } from './sealing.ts'
import { transaction } from './transaction.ts'
import { refuseWrongKeys } from './wrong-key.ts'

/** A key that sealed something in this database. */
export interface KnownKey {
  /** In hex. */
  readonly id: string
  /** How many sealed values stand under it. */
  readonly values: number
  /** The right key opens one of these; there is none for a key that was only ever given as the previous one. */
  readonly proofs: readonly Proof[]
}

export interface Proof {
  readonly sealed: Uint8Array
  readonly place: Place
}

/** The key in use first. Only reads, whatever the state of the schema. */
export async function readKeys(query: Queries, runtime: Pick<Runtime, 'now'>): Promise<KnownKey[]> {
  const tables = await tablesOf(query)
  if (!tables.includes('connections')) return []
  const recorded = tables.includes('sealing_keys') ? await recordedKeys(query) : []
  if (recorded.length === 0) return keysOfTokens(query)
  const counts = await countByKey(query, runtime)
  return recorded.map(({ key_id: id, check_value: sealed }) => ({
    id,
    values: counts.get(id) ?? 0,
    proofs: sealed ? [{ sealed, place: checkPlace(id) }] : [],
  }))
}

/** The sealed values by the id of their key. Verifiers of expired flows do not count: nobody opens them again. */
export async function countByKey(
  query: Queries,
  runtime: Pick<Runtime, 'now'>,
): Promise<Map<string, number>> {
  const { rows } = await sql<{ head: Uint8Array; n: number }>`
    select head, count(*) as n from (
      select substr(access_token, 1, 5) as head from connections where access_token is not null
      union all select substr(refresh_token, 1, 5) from connections where refresh_token is not null
      union all select substr(verifier, 1, 5) from flows where verifier is not null and expires_at > ${runtime.now()}
    ) as sealed group by head`.execute(query)
  const counts = new Map<string, number>()
  for (const { head, n } of rows) counts.set(keyIdOf(head), (counts.get(keyIdOf(head)) ?? 0) + Number(n))
  return counts
}

/** Before the first value is sealed. In a transaction: of two starts with different keys, the second is refused. */
export function recordKeys(query: Queries, sealer: Sealer, runtime: Pick<Runtime, 'now'>): Promise<void> {
  return transaction(query, async trx => {
    await alone(trx, 'sealing keys')
    refuseWrongKeys(await readKeys(trx, runtime), sealer)
    const [current, ...previous] = sealer.keys
    const [inUse] = await recordedKeys(trx)
    if (inUse?.key_id !== current) await recordInUse(trx, sealer, (inUse?.generation ?? 0) + 1)
    for (const key_id of previous)
      await trx
        .insertInto('sealing_keys')
        .values({ key_id, generation: 0, check_value: null })
        .onConflict(c => c.doNothing())
        .execute()
  })
}

async function recordInUse(query: Queries, sealer: Sealer, generation: number): Promise<void> {
  const [key_id] = sealer.keys
  const row = { generation, check_value: sealer.seal('this key is in use', checkPlace(key_id)) }
  await query
    .insertInto('sealing_keys')
    .values({ key_id, ...row })
    .onConflict(c => c.column('key_id').doUpdateSet(row))
    .execute()
}

/** The id of the key that the last start with a new one gave; undefined before any start recorded its key. */
export const keyInUse = async (query: Queries): Promise<string | undefined> =>
  (await recordedKeys(query))[0]?.key_id

const recordedKeys = (query: Queries) =>
  query.selectFrom('sealing_keys').selectAll().orderBy('generation', 'desc').execute()

/** For a database from before the table. Both tokens of a connection name one key, unless they are damaged. */
async function keysOfTokens(query: Queries): Promise<KnownKey[]> {
  const columns = ['event_id', 'organization_id', 'access_token', 'refresh_token'] as const
  const rows = await query.selectFrom('connections').select(columns).execute()
  const keys = new Map<string, Proof[]>()
  for (const row of rows) {
    if (!row.access_token || !row.refresh_token) continue
    const id = keyIdOf(row.access_token)
    if (id !== keyIdOf(row.refresh_token)) continue
    const proofs = keys.get(id) ?? []
    proofs.push({ sealed: row.access_token, place: tokenPlace(row, 'access_token') })
    keys.set(id, proofs)
  }
  return [...keys].map(([id, proofs]) => ({ id, values: proofs.length * 2, proofs }))
}
