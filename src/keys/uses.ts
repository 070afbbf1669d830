import type { Insertable } from 'kysely'
import type { Runtime } from '../process/runtime.ts'
import { latestEnd } from '../process/trusted-time.ts'
import type { Queries } from '../storage/database.ts'
import type { KeyUsesTable } from '../storage/schema.ts'
import { ENCRYPTION_KEY, type HeldKey } from './known-keys.ts'
import { countByKey } from './sealing-keys.ts'
import { judge, type KeyState, type Use } from './verdict.ts'

/** Of several processes the latest use stays, and of several starts the first. */
export const storeUses = (query: Queries, rows: readonly Insertable<KeyUsesTable>[]) =>
  query
    .insertInto('key_uses')
    .values(rows)
    .onConflict(c =>
      c
        .columns(['variable', 'fingerprint'])
        .doUpdateSet(eb => ({ last_used_at: eb.ref('excluded.last_used_at') }))
        .whereRef('key_uses.last_used_at', '<', 'excluded.last_used_at'),
    )
    .execute()

/** `later`: what this process knows and has not stored yet. */
/** What a clock that was ahead has noted says nothing: counting begins anew. */
export const countAnew = (query: Queries, now: number) =>
  query
    .updateTable('key_uses')
    .set({ since: now, last_used_at: now })
    .where(eb => eb.or([eb('since', '>', latestEnd(now, 0)), eb('last_used_at', '>', latestEnd(now, 0))]))
    .execute()

/** `isBelieved`: nothing can go by a clock that may be wrong. */
export async function readKeyStates(
  query: Queries,
  keys: readonly HeldKey[],
  clock: Pick<Runtime, 'now'>,
  isBelieved: boolean,
  later: (variable: string, which: 'current' | 'previous') => number = () => 0,
): Promise<KeyState[]> {
  const rows = await query.selectFrom('key_uses').selectAll().execute()
  const [sealedBefore] = keys.find(key => key.variable === ENCRYPTION_KEY)?.previous ?? []
  const sealed = sealedBefore && (await countByKey(query, clock)).get(sealedBefore)
  const useOf = (variable: string, names: readonly string[] = [], usedAt: number): Use | undefined => {
    const own = rows.filter(row => row.variable === variable && names.includes(row.fingerprint))
    if (own.length === 0) return undefined
    return {
      since: Math.min(...own.map(row => row.since)),
      lastUsedAt: Math.max(usedAt, ...own.map(row => row.last_used_at)),
    }
  }
  return keys.map(key => {
    const { variable } = key
    const current = useOf(variable, key.current, later(variable, 'current'))
    const previous = useOf(variable, key.previous, later(variable, 'previous'))
    const left = variable === ENCRYPTION_KEY && sealedBefore ? Number(sealed ?? 0) : undefined
    const changing = key.previous !== undefined
    const verdict = judge({ current, previous, left }, key.quietMs, clock.now(), isBelieved)
    return { variable, current, previous, left, verdict: changing ? verdict : undefined }
  })
}
