import type { Log } from '../process/log.ts'
import { atMost, type Runtime } from '../process/runtime.ts'
import type { Queries } from '../storage/database.ts'
import type { KeyInstancesTable } from '../storage/schema.ts'
import { lock, transaction } from '../storage/sql.ts'
import type { Sealer } from './sealing.ts'
import { keyInUse, readKeys, recordInUse, recordKnown, refuseWrongKeys } from './sealing-keys.ts'

const BEAT_MS = 20_000
/** An instance whose row did not change for this long, by the reader's monotonic clock, has crashed. */
const GONE_MS = 120_000
const LEAVE_MS = 500

/**
 * This process among the instances on one database. They all seal with the key that `sealing_keys` names, which changes
 * only when every running instance has the new key. Until then an instance with only the old key can open every value;
 * after it, a start with only the old key is refused. One lock guards both decisions.
 */
export interface KeyInstance {
  /** Keeps this instance's row alive, and takes its new key into use when all have it; until the signal fires. */
  watch(log: Pick<Log, 'info' | 'warn' | 'error'>, signal: AbortSignal): Promise<void>
  beat(): Promise<void>
  leave(): Promise<void>
}

/** Runs before the first value is sealed. Of two starts with different keys, the second is refused. */
export async function joinInstances(query: Queries, sealer: Sealer, runtime: Runtime): Promise<KeyInstance> {
  const instance = runtime.uuid()
  const [current] = sealer.keys
  const seen = new Map<string, { beats: number; at: number }>()
  /** True until its key was in use once: of two instances with the same two keys, the one started later decides. */
  let isNew = true

  function isGone(row: KeyInstancesTable): boolean {
    const before = seen.get(row.instance)
    if (before?.beats === row.beats) return runtime.monotonic() - before.at >= GONE_MS
    seen.set(row.instance, { beats: row.beats, at: runtime.monotonic() })
    return false
  }

  async function beatIn(trx: Queries): Promise<string> {
    await trx
      .insertInto('key_instances')
      .values({ instance, keys: sealer.keys.join(' '), beats: 1 })
      .onConflict(c => c.column('instance').doUpdateSet(eb => ({ beats: eb('key_instances.beats', '+', 1) })))
      .execute()
    const inUse = await keyInUse(trx)
    if (inUse === current || !isNew) return inUse ?? current
    const others = await trx
      .selectFrom('key_instances')
      .selectAll()
      .where('instance', '<>', instance)
      .execute()
    const running = others.filter(row => !isGone(row))
    if (inUse !== undefined && !running.every(({ keys }) => keys.split(' ').includes(current))) return inUse
    await recordInUse(trx, sealer)
    return current
  }

  const locked = (first: boolean) =>
    transaction(query, async trx => {
      await lock(trx, 'sealing keys')
      if (first) refuseWrongKeys(await readKeys(trx, runtime), sealer)
      const inUse = await beatIn(trx)
      if (first) await recordKnown(trx, sealer)
      return inUse
    })

  async function beat(first = false): Promise<void> {
    const inUse = await locked(first)
    if (inUse === current) isNew = false
    sealer.sealWith(inUse)
  }

  await beat(true)
  return {
    beat,
    leave: () =>
      atMost(runtime, LEAVE_MS, query.deleteFrom('key_instances').where('instance', '=', instance).execute()),
    async watch(log, signal) {
      const part = 'keys'
      if (isNew)
        log.warn({ part }, 'an instance has the old ENCRYPTION_KEY only: it is used until that one ends')
      while (!signal.aborted) {
        await runtime.sleep(BEAT_MS, signal).catch(() => {})
        if (signal.aborted) return
        const before = sealer.sealsWith()
        await beat().catch(err =>
          log.error({ part, err }, 'cannot say which keys this instance has; trying again'),
        )
        if (sealer.sealsWith() !== before)
          log.info({ part }, 'every instance has the new ENCRYPTION_KEY: it is in use')
      }
    },
  }
}
