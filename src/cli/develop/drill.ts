import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readEnvironment } from '../../config/settings.ts'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { print, printJson, runCommand, Usage, type Values } from '../command.ts'
import { DAYS } from './drill/days.ts'
import type { Day } from './drill/open-world.ts'
import { runDays, type Verdict } from './drill/run.ts'

function totals(verdicts: readonly Verdict[]) {
  const count = (status: Verdict['status']) => verdicts.filter(one => one.status === status).length
  return { passed: count('passed'), failed: count('failed'), not_run: count('not_run') }
}

const INDENT = ' '.repeat(9)
const MARK = { passed: 'ok', failed: 'FAILED', not_run: 'not run' } as const

/** A line for each day, and the details of a failed one. At `consoleUrl` the same faults are buttons. */
function scorecard(verdicts: readonly Verdict[], consoleUrl: string, ms: number): string {
  const width = Math.max(...verdicts.map(({ day }) => day.name.length))
  const lines = verdicts.flatMap(verdict => {
    const { day, status } = verdict
    const line = `${MARK[status].padEnd(7)}  ${day.name.padEnd(width)}  ${day.title}`
    if (status !== 'passed') return [line, ...details(verdict, consoleUrl)]
    return [line, ...(verdict.warnings ?? []).map(text => `${INDENT}warning: ${text}`)]
  })
  const { passed, failed, not_run } = totals(verdicts)
  const end = `${passed} of ${verdicts.length} bad days passed, ${failed} failed, ${not_run} not run, in ${Math.round(ms / 1000)} s`
  return [...lines, '', end].join('\n')
}

function details({ day, status, reason, look, folder }: Verdict, consoleUrl: string): string[] {
  if (status === 'not_run') return [`${INDENT}${reason}`]
  return [
    `${INDENT}what happened: ${reason}`,
    `${INDENT}why it matters: ${day.why}`,
    `${INDENT}where to look: ${look}${folder ? `, and ${folder}/app.log` : ''}`,
    ...(day.fault ? [`${INDENT}by hand: ${faultUrl(day, consoleUrl)}`] : []),
  ]
}

const faultUrl = ({ fault }: Day, consoleUrl: string) =>
  fault === undefined ? undefined : `${consoleUrl}/faults#${fault}`

const listOf = (days: readonly Day[], consoleUrl: string): string =>
  days
    .map(day => {
      const url = faultUrl(day, consoleUrl)
      return [`${day.name}: ${day.title}`, `  ${day.why}`, ...(url ? [`  by hand: ${url}`] : [])].join('\n')
    })
    .join('\n')

function asJson(verdicts: readonly Verdict[], consoleUrl: string, ms: number): object {
  const days = verdicts.map(({ day, status, ms, reason, look, folder, warnings }) => {
    const { name, title, why } = day
    return {
      name,
      title,
      status,
      ms,
      why,
      look,
      reason,
      folder,
      warnings,
      console: faultUrl(day, consoleUrl),
    }
  })
  return { ...totals(verdicts), ms, days }
}

const HELP = `Usage: npm run drill -- [--only NAME]... [--list] [--json]

Bad days, against this code and your handlers: each starts the app as npm start does, with its sandbox, in a folder of
its own, and does something bad to it. Prints one line a day; what failed comes with the reason and where to look.

  --only NAME  runs this day only; may be repeated
  --list       prints the days, why each matters, and the button of the sandbox's console that does the same by hand
  --json       prints one JSON object: passed, failed, not_run, ms, days

Your handlers run for real, more than once, with your environment (not .env). Their effects are compared in the tables of
the app's database. What they send with fetch or undici, but to read, goes to a pretend service, which answers
{"ok":true,"id":"drill"} and counts: what a second run sends again without once() is a warning. What they do elsewhere in
another way is really done.
Exit code: 0 when no day failed, else 1. The folder of a day that failed is kept.
`

const options = {
  only: { type: 'string', multiple: true },
  list: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
} as const

function chosen(names: readonly string[]): readonly Day[] {
  const unknown = names.find(name => !DAYS.some(day => day.name === name))
  if (unknown !== undefined) throw new Usage(`There is no day ${unknown}: see --list.`)
  return names.length === 0 ? DAYS : DAYS.filter(day => names.includes(day.name))
}

async function main(values: Values<typeof options>): Promise<number> {
  const days = chosen(values.only ?? [])
  const consoleUrl = `http://127.0.0.1:${readEnvironment({})['SANDBOX_PORT'] ?? '3100'}`
  if (values.list) {
    print(listOf(days, consoleUrl))
    return 0
  }
  const folder = mkdtempSync(join(tmpdir(), 'revento-drill-'))
  const begun = runtime.monotonic()
  const verdicts = await runDays(days, folder, progress(days.length))
  const ms = Math.round(runtime.monotonic() - begun)
  if (values.json) printJson(asJson(verdicts, consoleUrl, ms))
  else print(scorecard(verdicts, consoleUrl, ms))
  const { failed } = totals(verdicts)
  if (failed === 0) rmSync(folder, { recursive: true, force: true })
  return failed === 0 ? 0 : 1
}

/** Writes the progress to stderr, so that the output of --json stays one object. */
function progress(count: number): (verdict: Verdict) => void {
  let ended = 0
  return ({ day, status }) => {
    const text = `${++ended} of ${count}: ${day.name} ${status.replace('_', ' ')}`
    process.stderr.write(
      process.stderr.isTTY ? `\r${text}\u001b[K${ended === count ? '\n' : ''}` : `${text}\n`,
    )
  }
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

await runCommand({ name: 'drill', help: HELP, options, main })
