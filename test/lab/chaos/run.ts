import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { perform } from './actions.ts'
import { recover } from './closing.ts'
import { judge, type Violation } from './invariants.ts'
import type { Sighting } from './record.ts'
import { type ScheduleOptions, type Step, scheduleOf, stepText } from './schedule.ts'
import { sandboxHooks, sighting } from './sighting.ts'
import type { Stores } from './stores.ts'
import { EVENT, openWorld, type World } from './world.ts'

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

const NOTHING: Counts = { actions: 0, kills: 0, faults: 0, requests: 0, acknowledged: 0 }

export interface RunOptions extends ScheduleOptions {
  readonly folder: string
  readonly stores: Stores
  /** Also where nothing was found. */
  readonly keep: boolean
  /** How long the actions take in all, at least; 0: as fast as they can. */
  readonly minutes: number
}

/** Never rejects: a run that breaks off is one that found something. */
export async function runSchedule(o: RunOptions): Promise<Result> {
  const begun = Date.now()
  const steps = scheduleOf(o)
  const folder = join(o.folder, `run-${o.run}`)
  const { counts, violations, kept } = await inWorld(o, folder, steps).catch((error: unknown) => {
    const violations = [brokenOff('the run', error)]
    keep(folder, steps, { violations })
    return { counts: { ...NOTHING, actions: steps.length }, violations, kept: true }
  })
  if (!kept) rmSync(folder, { recursive: true, force: true })
  return { run: o.run, ms: Date.now() - begun, counts, violations, ...(kept ? { folder } : {}) }
}

async function inWorld(o: RunOptions, folder: string, steps: readonly Step[]) {
  const store = await o.stores.open(folder, `chaos_${process.pid}_${o.run}`)
  const world = await openWorld(folder, store)
  try {
    await world.console('/people', { event_id: EVENT, count: 110 })
    await world.apps.start(0)
    const broken = await performAll(world, steps, (o.minutes * 60_000) / steps.length)
    const unrecovered = await recover(world)
    const struck = await faultsOf(world)
    const sent = await sandboxHooks(world)
    await world.apps.end(0, 'SIGTERM')
    const seen = await sighting(world, unrecovered, sent)
    const violations = [...broken, ...judge(seen)]
    const kept = violations.length > 0 || o.keep
    if (kept) keep(folder, steps, { violations, ...seen })
    return { counts: countsOf(steps, seen, struck), violations, kept }
  } finally {
    await world.apps.clear()
    await world.close()
    await store.close()
  }
}

/** Starts each when its time has come, whatever else is going on. */
async function performAll(world: World, steps: readonly Step[], restMs: number): Promise<Violation[]> {
  const broken: Violation[] = []
  const underWay = new Set<Promise<void>>()
  for (const [n, step] of steps.entries()) {
    if (step.gap === null) await Promise.all(underWay)
    else await delay(step.gap)
    if (restMs > 0) await delay(restMs)
    const done = perform(world, step)
      .catch((error: unknown) => void broken.push(brokenOff(`step ${n + 1}`, error)))
      .finally(() => underWay.delete(done))
    underWay.add(done)
  }
  await Promise.all(underWay)
  return broken
}

function brokenOff(where: string, error: unknown): Violation {
  const told = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { rule: 'the run itself goes through', what: `${where}: ${told}` }
}

function keep(folder: string, steps: readonly Step[], seen: object): void {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'schedule.txt'), `${steps.map(stepText).join('\n')}\n`)
  writeFileSync(join(folder, 'seen.json'), JSON.stringify(seen, null, 1))
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
