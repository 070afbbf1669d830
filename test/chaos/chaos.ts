import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Counts, type Result, runSchedule } from './run.ts'
import { type StoreKind, scheduleOf, stepText } from './schedule.ts'
import { postgresStores, sqliteStores } from './stores.ts'

const HELP = `Usage: npm run chaos -- [--seed S] [--runs N] [--only RUN] [--actions N] [--store sqlite|postgres]
                            [--at-once N] [--keep] [--list] [--json]

Random schedules against the real program: webhooks of every kind, consents, refreshes, faults of Revento and of the
network, locks of the database, SIGTERM and kill -9, one process and two, one over the other. Then every fault ends, and
what was seen is held against the rules of the threat model (test/chaos/invariants.ts).

  --seed S     any text; without it one is drawn, and printed
  --runs N     schedules (10 unless told)
  --only RUN   this one alone
  --actions N  in each schedule (30 unless told)
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
  store: { type: 'string', default: 'sqlite' },
  'at-once': { type: 'string' },
  keep: { type: 'boolean', default: false },
  list: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h' },
} as const

/** What a person has to type instead. */
class Usage extends Error {}

interface Flags {
  readonly seed: string
  readonly runs: readonly number[]
  readonly actions: number
  readonly store: StoreKind
  readonly atOnce: number
  readonly keep: boolean
  readonly list: boolean
  readonly json: boolean
}

function readFlags(): Flags | undefined {
  const { values } = parseArgs({ options })
  if (values.help) return undefined
  const number = (name: 'runs' | 'only' | 'actions' | 'at-once', most: number, fallback: number): number => {
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
    store,
    atOnce: store === 'postgres' ? 1 : number('at-once', 16, 2),
    keep: values.keep,
    list: values.list,
    json: values.json,
  }
}

async function main(): Promise<number> {
  const flags = readFlags()
  if (!flags) {
    console.log(HELP)
    return 0
  }
  if (flags.list) {
    for (const run of flags.runs)
      console.log(
        `run ${run}\n${scheduleOf({ ...flags, run })
          .map(stepText)
          .join('\n')}`,
      )
    return 0
  }
  const results = await runAll(flags)
  const broken = results.filter(({ violations }) => violations.length > 0)
  const total = totalOf(results)
  if (flags.json) console.log(JSON.stringify({ seed: flags.seed, ...total, results }))
  else console.log(`seed ${flags.seed}: ${textOf(total)}`)
  return broken.length === 0 ? 0 : 1
}

async function runAll(flags: Flags): Promise<Result[]> {
  const folder = mkdtempSync(join(tmpdir(), 'revento-chaos-'))
  const stores = flags.store === 'postgres' ? await postgresStores() : sqliteStores
  const results: Result[] = []
  const left = [...flags.runs]
  const worker = async () => {
    for (let run = left.shift(); run !== undefined; run = left.shift()) {
      const result = await runSchedule({ ...flags, run, folder, stores })
      results.push(result)
      told(flags, results, result)
    }
  }
  try {
    await Promise.all(Array.from({ length: flags.atOnce }, worker))
  } finally {
    await stores.stop()
    if (results.every(result => result.folder === undefined)) rmSync(folder, { recursive: true, force: true })
  }
  return results
}

/** On stderr: --json stays one object. */
function told(
  flags: Flags,
  results: readonly Result[],
  { run, ms, counts, violations, folder }: Result,
): void {
  const state = violations.length === 0 ? 'ok' : `${violations.length} VIOLATIONS`
  const parts = Object.entries(counts).map(([name, n]) => `${n} ${name}`)
  console.error(
    `${results.length} of ${flags.runs.length}: run ${run} ${state}, ${parts.join(', ')}, ${(ms / 1000).toFixed(1)} s`,
  )
  if (folder) console.error(`  kept: ${folder}`)
  if (violations.length === 0) return
  for (const { rule, what } of violations.slice(0, 10)) console.error(`  ${rule}\n    ${what}`)
  console.error(
    scheduleOf({ ...flags, run })
      .map(stepText)
      .join('\n'),
  )
  console.error(`  seed ${flags.seed}, run ${run}\n  again: ${commandOf(flags, run)}`)
}

const commandOf = ({ seed, actions, store }: Flags, run: number) =>
  `npm run chaos -- --seed ${seed} --only ${run} --actions ${actions} --store ${store}`

function totalOf(results: readonly Result[]) {
  const sum = (name: keyof Counts) => results.reduce((n, { counts }) => n + counts[name], 0)
  return {
    schedules: results.length,
    actions: sum('actions'),
    kills: sum('kills'),
    faults: sum('faults'),
    requests: sum('requests'),
    acknowledged: sum('acknowledged'),
    violations: results.reduce((n, { violations }) => n + violations.length, 0),
  }
}

const textOf = ({ acknowledged, violations, ...rest }: ReturnType<typeof totalOf>) =>
  [
    ...Object.entries(rest).map(([name, n]) => `${n} ${name}`),
    `${acknowledged} deliveries acknowledged`,
    `${violations} violations`,
  ].join(', ')

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

process.exitCode = await main().catch((error: unknown) => {
  const isUsage =
    error instanceof Usage || String((error as NodeJS.ErrnoException).code).startsWith('ERR_PARSE_ARGS')
  console.error(isUsage ? `${(error as Error).message}\nTry: npm run chaos -- --help` : error)
  return 1
})
