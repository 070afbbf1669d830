import type { Day } from './day.ts'
import type { Verdict } from './run.ts'

export interface Totals {
  readonly passed: number
  readonly failed: number
  readonly not_run: number
}

export function totals(verdicts: readonly Verdict[]): Totals {
  const count = (status: Verdict['status']) => verdicts.filter(one => one.status === status).length
  return { passed: count('passed'), failed: count('failed'), not_run: count('not_run') }
}

const MARK = { passed: 'ok', failed: 'FAILED', not_run: 'not run' } as const

/** One line a day, and more where it matters. `consoleUrl`: where the same faults are buttons. */
export function scorecard(verdicts: readonly Verdict[], consoleUrl: string, ms: number): string {
  const width = Math.max(...verdicts.map(({ day }) => day.name.length))
  const lines = verdicts.flatMap(verdict => {
    const { day, status } = verdict
    const line = `${MARK[status].padEnd(7)}  ${day.name.padEnd(width)}  ${day.title}`
    return status === 'passed' ? [line] : [line, ...details(verdict, consoleUrl)]
  })
  const { passed, failed, not_run } = totals(verdicts)
  const end = `${passed} of ${verdicts.length} bad days passed, ${failed} failed, ${not_run} not run, in ${Math.round(ms / 1000)} s`
  return [...lines, '', end].join('\n')
}

function details({ day, status, reason, look, folder }: Verdict, consoleUrl: string): string[] {
  const indent = ' '.repeat(9)
  if (status === 'not_run') return [`${indent}${reason}`]
  return [
    `${indent}what happened: ${reason}`,
    `${indent}why it matters: ${day.why}`,
    `${indent}where to look: ${look}${folder ? `, and ${folder}/app.log` : ''}`,
    ...(day.fault ? [`${indent}by hand: ${faultUrl(day, consoleUrl)}`] : []),
  ]
}

export const faultUrl = ({ fault }: Day, consoleUrl: string) =>
  fault === undefined ? undefined : `${consoleUrl}/faults#${fault}`

export const listOf = (days: readonly Day[], consoleUrl: string): string =>
  days
    .map(day => {
      const url = faultUrl(day, consoleUrl)
      return [`${day.name}: ${day.title}`, `  ${day.why}`, ...(url ? [`  by hand: ${url}`] : [])].join('\n')
    })
    .join('\n')

export function asJson(verdicts: readonly Verdict[], consoleUrl: string, ms: number): object {
  const days = verdicts.map(({ day, status, ms, reason, look, folder }) => {
    const { name, title, why } = day
    return { name, title, status, ms, why, look, reason, folder, console: faultUrl(day, consoleUrl) }
  })
  return { ...totals(verdicts), ms, days }
}
