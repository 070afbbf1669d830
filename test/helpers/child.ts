import { type ChildProcess, spawn } from 'node:child_process'
import { onTestFinished } from 'vitest'
import { until } from './wait.ts'

export interface Child {
  readonly pid: number
  readonly process: ChildProcess
  /** What it wrote so far. */
  readonly output: { out: string; err: string }
  /** Resolves when it is gone: its exit code, or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>
  says(text: string, ms?: number): Promise<unknown>
}

/** Node with these arguments, killed after the test where it still runs. The environment is given whole. */
export function node(args: string[], o: { cwd?: string; env?: Record<string, string> } = {}): Child {
  const env = { PATH: process.env['PATH'], ...o.env }
  const child = spawn(process.execPath, args, { env, ...(o.cwd ? { cwd: o.cwd } : {}) })
  const output = { out: '', err: '' }
  child.stdout.on('data', chunk => {
    output.out += chunk
  })
  child.stderr.on('data', chunk => {
    output.err += chunk
  })
  const ended = new Promise<number | NodeJS.Signals | null>(resolve =>
    child.once('close', (code, signal) => resolve(code ?? signal)),
  )
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const says = (text: string, ms = 15_000) =>
    until(() => {
      if (child.exitCode !== null)
        throw new Error(`ended before it said "${text}": ${output.out}${output.err}`)
      return output.out.includes(text)
    }, ms)
  return { pid: child.pid ?? 0, process: child, output, ended, says }
}
