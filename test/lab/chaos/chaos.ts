import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Flags, HELP, readFlags, Usage } from './flags.ts'
import { type Counts, type Result, runSchedule } from './run.ts'
import { scheduleOf, stepText } from './schedule.ts'
import { postgresStores, sqliteStores } from './stores.ts'

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

const commandOf = ({ seed, actions, minutes, store }: Flags, run: number) =>
  `npm run chaos -- --seed ${seed} --only ${run} --actions ${actions}${minutes ? ` --minutes ${minutes}` : ''} --store ${store}`

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
