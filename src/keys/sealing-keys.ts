import { sql } from 'kysely'
import type { Runtime } from '../process/runtime.ts'
import type { Queries } from '../storage/database.ts'
import { UnusableDatabaseError } from '../storage/errors.ts'
import { GRANT_TABLES } from '../storage/grants.ts'
import { tablesOf } from '../storage/migrate.ts'
import { checkPlace, keyIdOf, type Place, type Sealer, tokenPlace, UnsealError } from './sealing.ts'

/** A key that sealed something in this database. */
export interface KnownKey {
  /** In hex. */
  readonly id: string
  /** How many sealed values are under it. */
  readonly values: number
  /** The right key opens one of these. A key that was only ever the previous one has none. */
  readonly proofs: readonly Proof[]
}

interface Proof {
  readonly sealed: Uint8Array
  readonly place: Place
}

/** Returns the key in use first. Only reads, and works with every state of the schema. */
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

/** Counts the sealed values by the id of their key, without the verifiers of expired flows, which are not used again. */
export async function countByKey(
  query: Queries,
  runtime: Pick<Runtime, 'now'>,
): Promise<Map<string, number>> {
  // A database that is not migrated yet lacks the later one.
  const tables = (await tablesOf(query)).filter(name => GRANT_TABLES.some(table => table === name))
  const heads = tables.flatMap(table =>
    ['access_token', 'refresh_token'].map(
      column => sql`select substr(${sql.ref(column)}, 1, 5) as head from ${sql.table(table)}
        where ${sql.ref(column)} is not null`,
    ),
  )
  const { rows } = await sql<{ head: Uint8Array; n: number }>`
    select head, count(*) as n from (
      ${sql.join(heads, sql` union all `)}
      union all select substr(verifier, 1, 5) from flows where verifier is not null and expires_at > ${runtime.now()}
    ) as sealed group by head`.execute(query)
  const counts = new Map<string, number>()
  for (const { head, n } of rows) counts.set(keyIdOf(head), (counts.get(keyIdOf(head)) ?? 0) + Number(n))
  return counts
}

/** Takes the sealer's current key into use. */
export async function recordInUse(query: Queries, sealer: Sealer): Promise<void> {
  const [key_id] = sealer.keys
  const [last] = await recordedKeys(query)
  const check_value = sealer.seal('this key is in use', checkPlace(key_id), key_id)
  const row = { generation: (last?.generation ?? 0) + 1, check_value }
  await query
    .insertInto('sealing_keys')
    .values({ key_id, ...row })
    .onConflict(c => c.column('key_id').doUpdateSet(row))
    .execute()
}

/** Records the sealer's previous key, so that a value under it does not count as damaged. */
export async function recordKnown(query: Queries, sealer: Sealer): Promise<void> {
  await query
    .insertInto('sealing_keys')
    .values(sealer.keys.map(key_id => ({ key_id, generation: 0, check_value: null })))
    .onConflict(c => c.doNothing())
    .execute()
}

/** The id of the key that every instance seals with; undefined before the first start recorded its key. */
export const keyInUse = async (query: Queries): Promise<string | undefined> =>
  (await recordedKeys(query))[0]?.key_id

const recordedKeys = (query: Queries) =>
  query.selectFrom('sealing_keys').selectAll().orderBy('generation', 'desc').execute()

/** Finds the keys of a database that has no table of keys yet. Both tokens of a sound connection are under one key. */
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

/** The given keys do not open this database. */
export class SealingKeyError extends UnusableDatabaseError {
  constructor(message: string) {
    super(message)
    this.name = 'SealingKeyError'
  }
}

/**
 * Throws SealingKeyError unless the sealer has every needed key, and each opens its proof. `known` has the key in use
 * first, which is needed even while no value is under it: so a wrong key shows on the first start.
 */
export function refuseWrongKeys(known: readonly KnownKey[], sealer: Sealer): void {
  const isGiven = ({ id }: KnownKey) => sealer.keys.includes(id)
  const missing = known.find((key, i) => !isGiven(key) && (i === 0 || key.values > 0))
  if (missing) throw new SealingKeyError(explain(missing, sealer))
  if (known.some(key => isGiven(key) && !isProven(key, sealer)))
    throw new SealingKeyError(
      'ENCRYPTION_KEY does not open the check value of this database. Restore the database from a backup.',
    )
}

function isProven({ proofs }: KnownKey, sealer: Sealer): boolean {
  const opens = ({ sealed, place }: Proof) => {
    try {
      sealer.open(sealed, place)
      return true
    } catch (error) {
      if (error instanceof UnsealError) return false
      throw error
    }
  }
  return proofs.length === 0 || proofs.some(opens)
}

function explain({ id, values }: KnownKey, { keys }: Sealer): string {
  const under = values === 1 ? '1 value is sealed with' : `${values} values are sealed with`
  return [
    `ENCRYPTION_KEY is not the key of this database: ${values === 0 ? 'it uses' : under} key ${id},`,
    `and what is given is ${keys.join(' and ')}.`,
    'Set ENCRYPTION_KEY to the key used before; to change it, give the key used before as ENCRYPTION_KEY_PREVIOUS.',
  ].join(' ')
}
