import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { perform } from './actions.ts'
import { recover, sandboxHooks, sighting } from './closing.ts'
import { judge, type Violation } from './invariants.ts'
import type { Sighting } from './record.ts'
import { type ScheduleOptions, type Step, scheduleOf, stepText } from './schedule.ts'
import type { Stores } from './stores.ts'
import { openWorld, type World } from './world.ts'

/** What one run did, and what it broke. */
export interface Result {
  readonly run: number
  readonly ms: number
  readonly counts: Counts
  readonly violations: readonly Violation[]
  /** Of a run that found something: logs, database, schedule and what was seen. */
  readonly folder?: string
}

export interface Counts {
  readonly actions: number
  readonly kills: number
  readonly faults: number
  readonly requests: number
  readonly acknowledged: number
}

export interface RunOptions extends ScheduleOptions {
  readonly folder: string
  readonly stores: Stores
  /** Also where nothing was found. */
  readonly keep: boolean
}

export async function runSchedule(o: RunOptions): Promise<Result> {
  const begun = Date.now()
  const steps = scheduleOf(o)
  const folder = join(o.folder, `run-${o.run}`)
  const store = await o.stores.open(folder, `chaos_${process.pid}_${o.run}`)
  const world = await openWorld(folder, store)
  try {
    await world.apps.start(0)
    const broken = await performAll(world, steps)
    const unrecovered = await recover(world)
    const struck = await faultsOf(world)
    const sent = await sandboxHooks(world)
    await world.apps.end(0, 'SIGTERM')
    const seen = await sighting(world, unrecovered, sent)
    const violations = [...broken, ...judge(seen)]
    if (violations.length > 0 || o.keep) keep(folder, steps, seen, violations)
    return {
      run: o.run,
      ms: Date.now() - begun,
      counts: countsOf(steps, seen, struck),
      violations,
      ...(isKept.has(folder) ? { folder } : {}),
    }
  } finally {
    await world.apps.clear()
    await world.close()
    await store.close()
    if (!isKept.has(folder)) rmSync(folder, { recursive: true, force: true })
  }
}

/** Starts each when its time has come, whatever else is going on. */
async function performAll(world: World, steps: readonly Step[]): Promise<Violation[]> {
  const broken: Violation[] = []
  const underWay = new Set<Promise<void>>()
  for (const [n, step] of steps.entries()) {
    if (step.gap === null) await Promise.all(underWay)
    else await delay(step.gap)
    const done = perform(world, step)
      .catch((error: unknown) => {
        const what = error instanceof Error ? (error.stack ?? error.message) : String(error)
        broken.push({ rule: 'the run itself goes through', what: `step ${n + 1}: ${what}` })
      })
      .finally(() => underWay.delete(done))
    underWay.add(done)
  }
  await Promise.all(underWay)
  return broken
}

const isKept = new Set<string>()

function keep(
  folder: string,
  steps: readonly Step[],
  seen: Sighting,
  violations: readonly Violation[],
): void {
  isKept.add(folder)
  writeFileSync(join(folder, 'schedule.txt'), `${steps.map(stepText).join('\n')}\n`)
  writeFileSync(join(folder, 'seen.json'), JSON.stringify({ violations, ...seen }, null, 1))
}

/** How often a fault of the sandbox or of the wire struck. */
async function faultsOf(world: World): Promise<number> {
  const { data } = await world.console<{ data: { name: string; struck: number }[] }>('/faults')
  return data.reduce((sum, { struck }) => sum + struck, world.wires.struck)
}

function countsOf(steps: readonly Step[], seen: Sighting, faults: number): Counts {
  return {
    actions: steps.length,
    kills: seen.ends.filter(({ told }) => told === 'SIGKILL').length,
    faults,
    requests: seen.hooks.length + seen.visits.length,
    acknowledged: seen.hooks.filter(({ status }) => status === 200).length,
  }
}
