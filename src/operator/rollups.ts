import { sql } from 'kysely'
import type { Metrics, RunOutcome } from '../metrics/metrics.ts'
import type { Log } from '../process/log.ts'
import type { Runtime } from '../process/runtime.ts'
import type { SteadyClock } from '../process/trusted-time.ts'
import type { Queries } from '../storage/database.ts'
import type { Platform } from '../storage/schema.ts'
import { integer, records, text } from '../storage/sql.ts'

const MINUTE_MS = 60_000
const FLUSH_EVERY_MS = 5_000
const TIDY_EVERY_MS = 3_600_000
const KEPT_MS = 8 * 24 * 3_600_000
/** Upper ends of the classes of time from received to handled, in ms; the last class has none. */
const WAITS = [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000, 3_600_000]

export interface Slot {
  /** When the slot begins (ms since 1970). */
  readonly at: number
  readonly counts: Readonly<Record<string, number>>
}

/** How often things happened, by minute: counted in memory, and added to the store each few seconds. */
export interface Rollups {
  /** The given metrics, which count here as well. */
  counting(metrics: Metrics): Metrics
  flush(): Promise<void>
  watch(signal: AbortSignal): Promise<void>
  /** Reads `count` slots of `minutes` each, the last with the present minute, and adds what is not stored yet here. */
  read(count: number, minutes: number): Promise<Slot[]>
}

export function createRollups(
  query: Queries,
  platform: Platform,
  { clock, log }: { clock: SteadyClock; log: Pick<Log, 'error'> },
  runtime: Runtime,
): Rollups {
  /** The counts by minute that are not stored yet; `current` are those of the present minute. */
  let pending = new Map<number, Map<string, number>>()
  let current = new Map<string, number>()
  let currentUntil = Number.NEGATIVE_INFINITY
  let tidiedAt = Number.NEGATIVE_INFINITY

  const countsOf = (at: number): Map<string, number> => {
    const counts = pending.get(at) ?? new Map<string, number>()
    pending.set(at, counts)
    return counts
  }

  /** Called for each webhook, so it reads the wall clock only once a minute. */
  function add(name: string, n = 1): void {
    const monotonic = runtime.monotonic()
    if (monotonic >= currentUntil) {
      const now = clock.now()
      currentUntil = monotonic + MINUTE_MS - (now % MINUTE_MS)
      current = countsOf(now - (now % MINUTE_MS))
    }
    current.set(name, (current.get(name) ?? 0) + n)
  }

  const rowsOf = (counts: typeof pending) =>
    [...counts].flatMap(([at, names]) => [...names].map(([name, n]) => ({ at, name, n })))

  async function flush(): Promise<void> {
    const rows = rowsOf(pending)
    if (rows.length === 0) return
    pending = new Map()
    currentUntil = Number.NEGATIVE_INFINITY
    try {
      await sql`insert into rollups (platform, minute_at, name, n)
        select ${platform}, ${integer('at')}, ${text('name')}, ${integer('n')} from ${records(rows)} where true
        on conflict (platform, minute_at, name) do update set n = rollups.n + excluded.n`.execute(query)
    } catch (error) {
      for (const { at, name, n } of rows) countsOf(at).set(name, (countsOf(at).get(name) ?? 0) + n)
      throw error
    }
  }

  async function tidy(): Promise<void> {
    const before = clock.oldBefore(KEPT_MS)
    if (before === undefined || runtime.monotonic() - tidiedAt < TIDY_EVERY_MS) return
    tidiedAt = runtime.monotonic()
    await query.deleteFrom('rollups').where('minute_at', '<', before).execute()
  }

  return {
    counting: metrics => ({
      ...metrics,
      delivery(provider, outcome, seconds) {
        metrics.delivery(provider, outcome, seconds)
        add(outcome === 'accepted' || outcome === 'denied' ? 'received' : 'refused')
      },
      run(provider, outcome, since) {
        metrics.run(provider, outcome, since)
        add(outcome)
        if (outcome === 'done' && since !== undefined) add(waitClass(runtime.now() - since))
      },
      resolved(outcome, n) {
        metrics.resolved(outcome, n)
        if (n > 0) add(outcome, n)
      },
      apiRequest(code) {
        metrics.apiRequest(code)
        add(/^[1-4]\d\d$/.test(code) ? 'api_answered' : 'api_failed')
      },
    }),
    flush,
    async watch(signal) {
      while (!signal.aborted) {
        await runtime.sleep(FLUSH_EVERY_MS, signal).catch(() => {})
        await flush()
          .then(tidy)
          .catch(err => log.error({ part: 'rollups', err }, 'cannot store the counts; trying again'))
      }
    },
    async read(count, minutes) {
      const now = clock.now()
      const length = minutes * MINUTE_MS
      const last = now - (now % MINUTE_MS) - length + MINUTE_MS
      const first = last - (count - 1) * length
      const slot = sql<number>`cast((minute_at - ${first}) / ${length} as integer)`
      const rows = await query
        .selectFrom('rollups')
        .select([slot.as('slot'), 'name', eb => eb.fn.sum<number>('n').as('n')])
        .where('platform', '=', platform)
        .where('minute_at', '>=', first)
        .where('minute_at', '<', last + length)
        .groupBy(['slot', 'name'])
        .execute()
      const slots = Array.from({ length: count }, (_, n) => ({
        at: first + n * length,
        counts: {} as Record<string, number>,
      }))
      const put = (n: number, name: string, more: number) => {
        const counts = slots[n]?.counts
        if (counts) counts[name] = (counts[name] ?? 0) + more
      }
      for (const { slot, name, n } of rows) put(Number(slot), name, Number(n))
      for (const { at, name, n } of rowsOf(pending)) put(Math.floor((at - first) / length), name, n)
      return slots
    },
  }
}

const NAMES = [...WAITS.keys()].map(n => `wait_${n}`)
const waitClass = (ms: number) => NAMES[WAITS.findIndex(end => ms <= end)] ?? 'wait_-1'

/** The ms within which this share of deliveries was handled, interpolated in its class; undefined where none was. */
export function quantile(slots: readonly Slot[], share: number): number | undefined {
  const classes = [...WAITS.keys(), -1].map(n =>
    slots.reduce((sum, slot) => sum + (slot.counts[`wait_${n}`] ?? 0), 0),
  )
  const total = classes.reduce((sum, n) => sum + n, 0)
  if (total === 0) return undefined
  let left = total * share
  for (const [n, count] of classes.entries()) {
    const [from, to] = [WAITS[n - 1] ?? 0, WAITS[n] ?? Number.POSITIVE_INFINITY]
    if (left <= count) return Number.isFinite(to) ? from + (to - from) * (left / count) : from
    left -= count
  }
  return WAITS.at(-1)
}

/** How often something happened in all of these slots. */
export const sumOf = (slots: readonly Slot[], ...names: (RunOutcome | string)[]): number =>
  slots.reduce((sum, { counts }) => sum + names.reduce((all, name) => all + (counts[name] ?? 0), 0), 0)
