import type { Log } from '../process/log.ts'
import { atMost, type Runtime } from '../process/runtime.ts'
import type { SteadyClock } from '../process/trusted-time.ts'
import type { Queries } from '../storage/database.ts'
import { transaction } from '../storage/sql.ts'
import { type AppKey, ENCRYPTION_KEY } from './known-keys.ts'
import { keyIdOf, type Sealer } from './sealing.ts'
import { keyInUse } from './sealing-keys.ts'
import { canGo, changeText, countAnew, type KeyState, readKeyStates, storeUses } from './verdict.ts'

export type Which = 'current' | 'previous'
/** Called for each use, before a webhook's 200: it only remembers the moment. */
export type NoteUse = (which: Which) => void

export interface Meter {
  noteUse(variable: string): NoteUse
  /** The given sealer, with a note of each key that opens a value. */
  readonly sealer: Sealer
  /** The state of all keys, from what all processes stored and this one noted. */
  states(): Promise<KeyState[]>
  /** The states of keys that are being changed. */
  changes(): Promise<KeyState[]>
  /** Stores new uses once a minute, and logs daily which keys are being changed; until the signal fires. */
  watch(signal: AbortSignal): Promise<void>
  flush(): Promise<void>
  /** As `flush`, but gives up after half a second. */
  stop(): Promise<void>
}

export interface MeterOptions {
  readonly query: Queries
  readonly keys: readonly AppKey[]
  readonly sealer: Sealer
  readonly clock: Pick<SteadyClock, 'now' | 'oldBefore'>
  readonly log: Log
}

interface Slot {
  readonly variable: string
  readonly fingerprint: string
  usedAt: number
  /** The moment that is stored; -1: nothing is stored of this key yet. */
  storedAt: number
}
type Slots = Partial<Record<Which, Slot>>

/** A process that is killed loses the uses of this time. */
const EVERY_MS = 60_000
const REPORT_EVERY_MS = 24 * 3_600_000
const LAST_USES_MS = 500

/** Keeps in memory when each secret and key was last used, and stores it once a minute, however often it is used. */
export function createMeter({ query, keys, sealer, clock, log }: MeterOptions, runtime: Runtime): Meter {
  const slots = new Map(keys.map(key => [key.variable, slotsOf(key)]))
  const isChanging = keys.some(key => key.previous !== undefined)
  const noteUse = (variable: string): NoteUse => {
    const own = slots.get(variable) ?? {}
    return which => {
      const slot = own[which]
      if (slot) slot.usedAt = clock.now()
    }
  }
  const noteOpened = noteUse(ENCRYPTION_KEY)
  const isBelieved = () => clock.oldBefore(0) !== undefined
  let reported = { at: Number.NEGATIVE_INFINITY, isBelieved: false }
  let outdated = false

  async function flush(): Promise<void> {
    const fresh = [...slots.values()].flatMap(own => Object.values(own)).filter(s => s.usedAt !== s.storedAt)
    if (fresh.length === 0) return
    const since = clock.now()
    const rows = fresh.map(({ variable, fingerprint, usedAt }) => ({
      variable,
      fingerprint,
      since,
      last_used_at: usedAt,
    }))
    await transaction(query, trx => storeUses(trx, rows))
    for (const [i, slot] of fresh.entries()) slot.storedAt = rows[i]?.last_used_at ?? slot.storedAt
  }

  /** Notes the use of the key that this process seals with, where that is not the newest one. */
  async function noteOutdated(): Promise<void> {
    const inUse = await keyInUse(query)
    if (inUse === undefined || inUse === sealer.keys[0]) return
    // Another instance does not have the new key yet.
    if (sealer.keys.includes(inUse)) return noteOpened('previous')
    noteOpened('current')
    if (!outdated)
      log.warn({ part: 'keys' }, 'another process has a new ENCRYPTION_KEY: restart this one with it')
    outdated = true
  }

  async function mendUses(): Promise<void> {
    const now = clock.oldBefore(0)
    if (now === undefined) return
    for (const own of slots.values())
      for (const slot of Object.values(own)) slot.usedAt = Math.min(slot.usedAt, now)
    await countAnew(query, now)
  }

  async function reportChanges(): Promise<void> {
    const isNew = runtime.monotonic() - reported.at >= REPORT_EVERY_MS || reported.isBelieved !== isBelieved()
    if (!isChanging || !isNew) return
    for (const state of await changes()) {
      const fields = { part: 'keys', variable: state.variable, verdict: state.verdict }
      const text = changeText(state)
      if (canGo(state)) log.warn(fields, text)
      else log.info(fields, text)
    }
    reported = { at: runtime.monotonic(), isBelieved: isBelieved() }
  }

  const states = () =>
    readKeyStates(
      query,
      keys,
      clock,
      isBelieved(),
      (variable, which) => slots.get(variable)?.[which]?.usedAt ?? 0,
    )
  const changes = async () => (isChanging ? (await states()).filter(state => state.verdict) : [])

  return {
    noteUse,
    states,
    changes,
    flush,
    stop: () => atMost(runtime, LAST_USES_MS, flush()),
    sealer: {
      ...sealer,
      open(sealed, place) {
        const text = sealer.open(sealed, place)
        noteOpened(keyIdOf(sealed) === sealer.keys[0] ? 'current' : 'previous')
        return text
      },
    },
    async watch(signal) {
      while (!signal.aborted) {
        await noteOutdated()
          .then(mendUses)
          .then(flush)
          .then(reportChanges)
          .catch(err => {
            if (!signal.aborted)
              log.error({ part: 'keys', err }, 'cannot store which keys are in use; trying again')
          })
        await runtime.sleep(EVERY_MS, signal).catch(() => {})
      }
    },
  }
}

function slotsOf(key: AppKey): Slots {
  const slot = ([fingerprint = '']: readonly string[]): Slot => ({
    variable: key.variable,
    fingerprint,
    usedAt: 0,
    storedAt: -1,
  })
  const current = slot(key.current)
  return key.previous ? { current, previous: slot(key.previous) } : { current }
}
