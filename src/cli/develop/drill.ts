import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readEnvironment } from '../../config/settings.ts'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { print, printJson, runCommand, Usage } from '../command.ts'
import type { Day } from './drill/day.ts'
import { DAYS } from './drill/days.ts'
import { runDays, type Verdict } from './drill/run.ts'
import { asJson, listOf, scorecard, totals } from './drill/scorecard.ts'

const HELP = `Usage: npm run drill -- [--only NAME]... [--list] [--json]

Bad days, against this code and your handlers: each starts the app as npm start does, with its sandbox, in a folder of
its own, and does something bad to it. Prints one line a day; what failed comes with the reason and where to look.

  --only NAME  this day; may be repeated
  --list       the days, why each matters, and the button of the sandbox's console that does the same by hand
  --json       one JSON object: passed, failed, not_run, ms, days

Your handlers run for real, more than once, with your environment (not .env): what they do elsewhere is really done.
Their effects are compared where the drill can see them, in the tables of the app's database.
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

interface Flags {
  readonly only?: string[] | undefined
  readonly list: boolean
  readonly json: boolean
}

async function main(values: Flags): Promise<number> {
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

/** On stderr, so that --json stays one object. */
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
