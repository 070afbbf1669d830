import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { systemRuntime as runtime } from '../../../process/runtime.ts'
import { tellAll } from './handling.ts'
import { type Day, openWorld, type World } from './open-world.ts'
import { type Effects, Failed, NotHere } from './world.ts'

export interface Verdict {
  readonly day: Day
  readonly status: 'passed' | 'failed' | 'not_run'
  readonly ms: number
  readonly reason?: string
  /** What a day that passed has to warn of. */
  readonly warnings?: readonly string[]
  /** The file to look into: that of a handler where it is to blame. */
  readonly look: string
  /** The folder with the log and database of a day that failed. */
  readonly folder?: string
}

const AT_ONCE = 2
/** The days that wait longest begin first, so that the others fill their time. */
const LONG = ['kill', 'held_lease', 'kill_in_refresh', 'slow_handler', 'kill_in_comparison', 'disk_full']

/** Runs the days, two at a time, and calls `ended` with each verdict. The result has the order of `days`. */
export async function runDays(
  days: readonly Day[],
  folder: string,
  ended: (verdict: Verdict) => void,
): Promise<Verdict[]> {
  const places = createPlaces(AT_ONCE)
  let undisturbed: Promise<Effects> | undefined

  async function inWorld<T>(name: string, run: (world: World) => Promise<T>): Promise<T> {
    return places.use(async () => {
      const world = await openWorld({ folder: join(folder, name), rest: places.rest, undisturbed: once })
      try {
        return await run(world)
      } finally {
        await world.close()
      }
    })
  }

  function once(): Promise<Effects> {
    undisturbed ??= inWorld('undisturbed', async world => {
      await world.start()
      return tellAll(world)
    })
    return undisturbed
  }

  async function judge(day: Day): Promise<Verdict> {
    const begun = runtime.monotonic()
    const { status, reason, look, warnings } = await inWorld(day.name, day.run).then(
      warnings => ({
        status: 'passed' as const,
        reason: undefined,
        look: undefined,
        warnings: Array.isArray(warnings) ? (warnings as string[]) : [],
      }),
      verdictOf,
    )
    const own = join(folder, day.name)
    if (status !== 'failed') rmSync(own, { recursive: true, force: true })
    const verdict = {
      day,
      status,
      ms: Math.round(runtime.monotonic() - begun),
      look: look ?? day.look,
      ...(reason === undefined ? {} : { reason }),
      ...(warnings?.length ? { warnings } : {}),
      ...(status === 'failed' ? { folder: own } : {}),
    }
    ended(verdict)
    return verdict
  }

  mkdirSync(folder, { recursive: true })
  const begun = new Map<Day, Promise<Verdict>>()
  const isLong = (day: Day) => LONG.includes(day.name)
  for (const day of [...days.filter(isLong), ...days.filter(day => !isLong(day))]) begun.set(day, judge(day))
  const verdicts = await Promise.all(days.map(day => begun.get(day)))
  return verdicts.filter(verdict => verdict !== undefined)
}

function verdictOf(error: unknown) {
  const warnings = undefined
  if (error instanceof NotHere)
    return { status: 'not_run' as const, reason: error.message, look: undefined, warnings }
  const failed = error instanceof Failed ? error : undefined
  const reason =
    failed?.message ?? `the day itself broke off: ${error instanceof Error ? error.stack : error}`
  return { status: 'failed' as const, reason, look: failed?.look, warnings }
}

/** Limits how many days run at a time; a day that only waits makes room for another. */
function createPlaces(count: number) {
  let free = count
  const line: (() => void)[] = []

  const take = (first: boolean) =>
    new Promise<void>(resolve => {
      if (free > 0) {
        free -= 1
        resolve()
      } else if (first) line.unshift(resolve)
      else line.push(resolve)
    })
  function give(): void {
    const next = line.shift()
    if (next) next()
    else free += 1
  }

  return {
    async use<T>(work: () => Promise<T>): Promise<T> {
      await take(false)
      try {
        return await work()
      } finally {
        give()
      }
    },
    /** Gives the place away during the wait, and goes to the front of the line afterwards. */
    async rest<T>(wait: Promise<T>): Promise<T> {
      give()
      try {
        return await wait
      } finally {
        await take(true)
      }
    },
  }
}
