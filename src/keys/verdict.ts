import type { Insertable } from 'kysely'
import type { Runtime } from '../process/runtime.ts'
import { isOlderThan, isPlausible, latestEnd } from '../process/trusted-time.ts'
import type { Queries } from '../storage/database.ts'
import type { KeyUsesTable } from '../storage/schema.ts'
import { type AppKey, ENCRYPTION_KEY } from './known-keys.ts'
import { countByKey } from './sealing-keys.ts'

/** The known use of a key, in milliseconds since 1970. */
interface Use {
  /** When counting began. */
  readonly since: number
  /** 0 where the key was not used since then. */
  readonly lastUsedAt: number
}

export interface KeyState {
  readonly variable: string
  /** Undefined while nothing is stored about the key. */
  readonly current: Use | undefined
  readonly previous: Use | undefined
  /** For ENCRYPTION_KEY: the number of sealed values under the previous key. */
  readonly left: number | undefined
  /** Undefined where no previous key is set. */
  readonly verdict: Verdict | undefined
}

/** `new_unused`: the current key was not used yet. `clock_new`: removable, but only by a clock that may be wrong. */
export type Verdict = 'removable' | 'clock_new' | 'in_use' | 'new_unused' | 'values_left' | 'unknown'

/** A process that still seals with the old key notes that once a minute. */
const SEALERS_QUIET_MS = 5 * 60_000

/**
 * An old secret can go when the new one was used `quietMs` after the old one's last use, and after both were first
 * accepted together. Silence proves nothing: a quiet sender may still have the old secret. An old sealing key can go when
 * no value is left under it and no process has sealed with it lately. A use that lies in the future proves nothing.
 */
export function judge(
  { current, previous, left = 0 }: Pick<KeyState, 'current' | 'previous' | 'left'>,
  quietMs: number | undefined,
  now: number,
  isBelieved: boolean,
): Verdict {
  if (!current || !previous) return 'unknown'
  const quietSince = Math.max(previous.lastUsedAt, previous.since, current.since)
  const removable = isBelieved ? 'removable' : 'clock_new'
  if (quietMs === undefined) {
    if (left > 0) return 'values_left'
    return isOlderThan(quietSince, SEALERS_QUIET_MS, now) ? removable : 'in_use'
  }
  if (current.lastUsedAt === 0) return 'new_unused'
  const isLater = isOlderThan(quietSince, quietMs, current.lastUsedAt)
  return isLater && isPlausible(current.lastUsedAt, now) ? removable : 'in_use'
}

export const canGo = ({ verdict }: Pick<KeyState, 'verdict'>): boolean => verdict === 'removable'

/** A sentence about a key that is being changed. A moment may stand in it, which the page shows as a local time. */
export interface ChangeSentence {
  readonly before: string
  readonly at?: number
  readonly after: string
}

export function describeChange(state: KeyState): ChangeSentence {
  const { previous, left } = state
  if (!previous) return { before: 'nothing is known of the previous one yet.', after: ' Keep it.' }
  const used = previous.lastUsedAt > 0
  return {
    before: `the previous one ${used ? 'was last used' : 'has not been used since counting began'} `,
    at: used ? previous.lastUsedAt : previous.since,
    after: `. ${left === undefined ? ofSecret(state) : ofSealingKey(state, left)}`,
  }
}

const REMOVE = {
  removable: (variable: string) => `Safe to remove: delete ${variable}_PREVIOUS and restart.`,
  clock_new: () => 'Keep it until the clock has run steadily for an hour.',
}

function ofSecret({ variable, verdict }: KeyState): string {
  const days = variable === 'WEBHOOK_VERIFY_TOKEN' ? 'two days' : 'a day'
  if (verdict === 'removable' || verdict === 'clock_new')
    return `The new one has been in use for ${days} without it. ${REMOVE[verdict](variable)}`
  if (verdict === 'new_unused')
    return 'Nothing has come with the new one yet: keep the previous one, and look at the sender.'
  return `Keep it until the new one has been in use for ${days} without it.`
}

function ofSealingKey({ variable, verdict }: KeyState, left: number): string {
  const under = left === 1 ? '1 value is left' : `${left === 0 ? 'No' : left} values are left`
  if (verdict === 'values_left') return `${under} under it: keep it, and run npm run reseal.`
  if (verdict === 'removable' || verdict === 'clock_new')
    return `No value is left under it. ${REMOVE[verdict](variable)} Older backups still need it.`
  return 'No value is left under it. Keep it five minutes longer: another process may still seal with it.'
}

/** The sentence as text, for logs and terminals. */
export const changeText = (state: KeyState): string => {
  const { before, at, after } = describeChange(state)
  return `${state.variable}: ${before}${at === undefined ? '' : new Date(at).toISOString()}${after}`
}

/** Stores uses. Among those of several processes the latest use stays, and the earliest start of counting. */
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

/** Begins counting anew for moments that lie in the future: a clock that was ahead has noted them. */
export const countAnew = (query: Queries, now: number) =>
  query
    .updateTable('key_uses')
    .set({ since: now, last_used_at: now })
    .where(eb => eb.or([eb('since', '>', latestEnd(now, 0)), eb('last_used_at', '>', latestEnd(now, 0))]))
    .execute()

/** `isBelieved` is false while the clock may be wrong. `later` returns a use that this process has not stored yet. */
export async function readKeyStates(
  query: Queries,
  keys: readonly AppKey[],
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
