import { type ActionName, DRAWS } from './draws.ts'
import { createRandom } from './random.ts'

export interface Step {
  readonly action: ActionName
  readonly args: Readonly<Record<string, string | number>>
  /** So many milliseconds after the one before it began; null: when everything before it has ended. */
  readonly gap: number | null
}

export type StoreKind = 'sqlite' | 'postgres'

export interface ScheduleOptions {
  readonly seed: string
  readonly run: number
  readonly actions: number
  readonly store: StoreKind
}

/** A pure function of its options. It begins with a connection: little can go wrong without one. */
export function scheduleOf({ seed, run, actions, store }: ScheduleOptions): Step[] {
  const random = createRandom(`${seed} ${run} ${store}`)
  const weights = Object.fromEntries(
    Object.entries(DRAWS).map(([name, { weight }]) => [
      name,
      name === 'crash_database' && store === 'sqlite' ? 0 : weight,
    ]),
  ) as Record<ActionName, number>
  const draw = (action: ActionName, gap: number | null): Step => ({
    action,
    args: DRAWS[action].draw(random),
    gap,
  })
  const steps: Step[] = [
    { action: 'connect', args: { from: 0, to: 0 }, gap: null },
    draw(random.chance(50) ? 'second' : 'participants', null),
  ]
  while (steps.length < actions) {
    const waits = random.chance(STARTING.has(steps.at(-1)?.action) ? 75 : 15)
    steps.push(draw(random.weighed(weights), waits ? null : random.pick([0, 0, 5, 40, 150, 400])))
  }
  return steps.slice(0, actions)
}

/** Starting a process takes seconds: what comes in the meantime meets nobody, and that need not be tried so often. */
const STARTING: ReadonlySet<unknown> = new Set(['kill', 'term', 'second', 'crash_database'])

/** One line a step, as people read it. */
export function stepText({ action, args, gap }: Step, index: number): string {
  const when = gap === null ? 'then' : `+${gap} ms`
  const told = Object.entries(args).map(([name, value]) => `${name}=${value}`)
  return [`${String(index + 1).padStart(3)} ${when.padEnd(8)}`, action, ...told].join(' ')
}
