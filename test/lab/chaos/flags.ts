import { randomInt } from 'node:crypto'
import { parseArgs } from 'node:util'
import type { StoreKind } from './schedule.ts'

export const HELP = `Usage: npm run chaos -- [--seed S] [--runs N] [--only RUN] [--actions N] [--minutes N]
                            [--store sqlite|postgres] [--at-once N] [--keep] [--list] [--json]

Random schedules against the real program: webhooks of every kind, consents, refreshes, faults of Revento and of the
network, locks of the database, jumps of the clock, SIGTERM and kill -9, one process and two, one over the other. Then
every fault ends, and what was seen is held against the rules of the threat model (test/lab/chaos/invariants.ts).

  --seed S     any text; without it one is drawn, and printed
  --runs N     schedules (10 unless told)
  --only RUN   this one alone
  --actions N  in each schedule (30 unless told)
  --minutes N  spreads the actions over so long
  --store      sqlite unless told; postgres starts the packaged server, and crashes it too
  --at-once N  runs at a time (2 unless told; 1 on postgres, which all of them share)
  --keep       keeps what good runs leave behind, too
  --list       prints the schedules and starts nothing
  --json       one JSON object instead of lines

The seed decides the schedule for ever. What happens within the processes has times of its own: where it takes a race,
the same schedule may need several runs to find it again.
Exit code: 0 when no rule was broken, else 1. The logs, the database and the schedule of a run that broke one are kept.
`

const options = {
  seed: { type: 'string' },
  runs: { type: 'string', default: '10' },
  only: { type: 'string' },
  actions: { type: 'string', default: '30' },
  minutes: { type: 'string' },
  store: { type: 'string', default: 'sqlite' },
  'at-once': { type: 'string' },
  keep: { type: 'boolean', default: false },
  list: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h' },
} as const

/** What a person has to type instead. */
export class Usage extends Error {}

export interface Flags {
  readonly seed: string
  readonly runs: readonly number[]
  readonly actions: number
  readonly minutes: number
  readonly store: StoreKind
  readonly atOnce: number
  readonly keep: boolean
  readonly list: boolean
  readonly json: boolean
}

/** Undefined where help was asked for. */
export function readFlags(): Flags | undefined {
  const { values } = parseArgs({ options })
  if (values.help) return undefined
  const number = (
    name: 'runs' | 'only' | 'actions' | 'minutes' | 'at-once',
    most: number,
    fallback: number,
  ): number => {
    const n = Number(values[name] ?? fallback)
    if (Number.isInteger(n) && n >= 1 && n <= most) return n
    throw new Usage(`--${name} takes a whole number from 1 to ${most}.`)
  }
  const { store, seed = String(randomInt(1_000_000)) } = values
  if (store !== 'sqlite' && store !== 'postgres') throw new Usage('--store takes sqlite or postgres.')
  if (!/^[\w.-]{1,64}$/.test(seed)) throw new Usage('--seed takes letters, digits, dots and dashes.')
  const count = number('runs', 100_000, 10)
  const only = values.only === undefined ? undefined : number('only', 100_000, 1)
  return {
    seed,
    runs: only === undefined ? Array.from({ length: count }, (_, n) => n + 1) : [only],
    actions: number('actions', 1_000, 30),
    minutes: values.minutes === undefined ? 0 : number('minutes', 600, 10),
    store,
    atOnce: store === 'postgres' ? 1 : number('at-once', 16, 2),
    keep: values.keep,
    list: values.list,
    json: values.json,
  }
}
