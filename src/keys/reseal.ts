import { type Expression, type Selectable, type SqlBool, sql } from 'kysely'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import type { Queries } from '../storage/database.ts'
import { GRANT_TABLES, type GrantRow } from '../storage/grants.ts'
import type { FlowsTable } from '../storage/schema.ts'
import { isPostgres, transaction } from '../storage/sql.ts'
import { createSealedTokens } from './sealed-tokens.ts'
import { type Sealer, UnsealError, verifierPlace } from './sealing.ts'
import { countByKey } from './sealing-keys.ts'

export interface Resealing {
  readonly query: Queries
  readonly sealer: Sealer
  readonly runtime: Runtime
  readonly log: Pick<Log, 'warn' | 'error'>
  /** Called after each batch with the number of values that are left. */
  progress(left: number): void
}

/** A batch has the write lock for some milliseconds; the pause gives running instances their turn. */
const BATCH = 50
const PAUSE_MS = 20

/** Seals every value under another key again, and ends damaged connections. Returns how many values are left, by key id. */
export async function reseal(o: Resealing): Promise<Map<string, number>> {
  for (const batch of [...GRANT_TABLES.map(table => grantsBatch(table, o)), flowsBatch(o)])
    while ((await transaction(o.query, batch)) === BATCH) {
      o.progress(sum(await countLeft(o)))
      await o.runtime.sleep(PAUSE_MS)
    }
  return countLeft(o)
}

/** Counts the sealed values by key, without the current key. */
async function countLeft({
  query,
  sealer,
  runtime,
}: Omit<Resealing, 'progress'>): Promise<Map<string, number>> {
  const left = await countByKey(query, runtime)
  left.delete(sealer.keys[0])
  return left
}

const sum = (counts: Map<string, number>) => [...counts.values()].reduce((a, b) => a + b, 0)

/** Each batch begins after the last row of the batch before, so that a value that cannot be opened is met once. */
function grantsBatch(table: (typeof GRANT_TABLES)[number], { sealer, runtime, log }: Resealing) {
  const columns = table === 'sign_ins' ? ['id'] : ['event_id', 'organization_id', 'platform']
  const key = sql.join(columns.map(column => sql.ref(column)))
  let after: Record<string, unknown> = {}
  return async (trx: Queries): Promise<number> => {
    const tokens = createSealedTokens(trx, sealer, runtime, log)
    const rows = await trx
      .selectFrom(table as 'connections')
      .selectAll()
      .$castTo<GrantRow>()
      .where(e => e.or([isUnderOther('access_token', sealer), isUnderOther('refresh_token', sealer)]))
      .where(sql<SqlBool>`(${key}) > (${sql.join(columns.map(column => after[column] ?? ''))})`)
      .orderBy(key)
      .limit(BATCH)
      // Locked one by one, these rows and the batch of another process would wait for each other.
      .$if(isPostgres(trx), select => select.forUpdate())
      .execute()
    for (const row of rows) {
      const opened = await tokens.open(row).catch(keyNotGiven)
      if (opened && opened !== 'changed') await tokens.rewrite(row, opened)
    }
    after = { ...(rows.at(-1) ?? after) }
    return rows.length
  }
}

function flowsBatch({ sealer }: Resealing) {
  let after = ''
  return async (trx: Queries): Promise<number> => {
    const rows = await trx
      .selectFrom('flows')
      .selectAll()
      .where(isUnderOther('verifier', sealer))
      .where('state_hash', '>', after)
      .orderBy('state_hash')
      .limit(BATCH)
      .execute()
    for (const row of rows)
      await trx
        .updateTable('flows')
        .set({ verifier: resealedVerifier(row, sealer) })
        .where('state_hash', '=', row.state_hash)
        .where('verifier', '=', row.verifier)
        .execute()
    after = rows.at(-1)?.state_hash ?? after
    return rows.length
  }
}

/** A value whose key was not given stays, and counts as left. */
function keyNotGiven(error: unknown): undefined {
  if (!(error instanceof UnsealError)) throw error
}

/** Null for a damaged verifier. An expired one is sealed too: the clock of a command may be wrong. */
function resealedVerifier(row: Selectable<FlowsTable>, sealer: Sealer): Uint8Array | null {
  if (!row.verifier) return null
  try {
    return sealer.seal(
      sealer.open(row.verifier, verifierPlace(row.state_hash)),
      verifierPlace(row.state_hash),
    )
  } catch (error) {
    if (!(error instanceof UnsealError)) throw error
    return error.code === 'damaged' ? null : row.verifier
  }
}

/** A sealed value begins with its format and its key's id. A null is under no key. */
const isUnderOther = (column: string, { keys: [current] }: Sealer): Expression<SqlBool> =>
  sql<SqlBool>`substr(${sql.ref(column)}, 2, 4) <> ${Buffer.from(current, 'hex')}`
