import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { request } from 'undici'
import { ownValues } from './own-values.ts'
import { until } from './wait.ts'

/** A process that a test, the bench, the chaos run or the proof has started. */
export interface Child {
  readonly pid: number
  readonly process: ChildProcess
  /** The output so far; where the process writes into a file, `out` has all of it. */
  readonly output: { readonly out: string; readonly err: string }
  /** Resolves, when the process is gone, with its exit code or the signal that ended it. */
  readonly ended: Promise<number | NodeJS.Signals | null>
  isRunning(): boolean
  /** Waits until `isSo`; fails with "it never `what`" after `ms`, or when the process ends before. */
  waitsFor(what: string, isSo: () => boolean | Promise<boolean>, ms?: number): Promise<unknown>
  says(text: string, ms?: number): Promise<unknown>
  stop(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals | null>
}

export interface ChildOptions {
  readonly cwd?: string
  /** The environment, to which only `inherited` adds. */
  readonly env?: NodeJS.ProcessEnv
  /** The file to which both streams are appended. */
  readonly log?: string
}

/** This is long, because no test is about how fast a busy machine starts a process. */
const START_MS = 30_000
const running = new Set<ChildProcess>()

/** However this process exits, what it started is killed. */
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** The path is written in pieces: a whole one would count as a use of the sandbox, and this file would go with it. */
export const hasSandbox = existsSync(join(import.meta.dirname, '..', '..', 'src', 'sandbox'))

/** Without the sandbox the app is set up for a real platform, at an address where nothing answers. */
const PLATFORM = hasSandbox
  ? undefined
  : {
      REVENTO_CLIENT_ID: 'sandbox-client',
      REVENTO_CLIENT_SECRET: 'sandbox-client-secret-for-development-only',
      REVENTO_WEBHOOK_SECRET: 'sandbox-webhook-secret-for-development-only',
      REVENTO_AUTH_BASE: 'http://127.0.0.1:9',
      REVENTO_API_BASE: 'http://127.0.0.1:9/api/v1',
    }

/** The variables of every process: some of this one's, those of src/integration, and one that turns comparisons off. */
export function inherited() {
  const { PATH, NODE_COMPILE_CACHE, NODE_COMPILE_CACHE_PORTABLE, NODE_OPTIONS } = process.env
  return {
    PATH,
    NODE_COMPILE_CACHE,
    NODE_COMPILE_CACHE_PORTABLE,
    NODE_OPTIONS,
    SYNC_EVERY_HOURS: '0',
    ...ownValues,
  }
}

/** Starts Node with these arguments. */
export function launch(args: readonly string[], { cwd, env, log }: ChildOptions = {}): Child {
  const file = log === undefined ? undefined : openSync(log, 'a')
  const own = inherited()
  // What a test adds to the options of Node comes behind those of the suite, without which a start takes twice as long.
  const options = [own.NODE_OPTIONS, env?.['NODE_OPTIONS']].filter(Boolean).join(' ')
  const child = spawn(process.execPath, args, {
    env: { ...own, ...(env?.['REVENTO_CLIENT_ID'] ? {} : PLATFORM), ...env, NODE_OPTIONS: options },
    ...(cwd !== undefined && { cwd }),
    stdio: file === undefined ? 'pipe' : ['ignore', file, file],
  })
  if (file !== undefined) closeSync(file)
  running.add(child)
  const piped = { out: '', err: '' }
  child.stdout?.on('data', chunk => (piped.out += chunk))
  child.stderr?.on('data', chunk => (piped.err += chunk))
  const output = {
    get out() {
      return log === undefined ? piped.out : readFileSync(log, 'utf8')
    },
    get err() {
      return piped.err
    },
  }
  let hasEnded = false
  const ended = new Promise<number | NodeJS.Signals | null>(resolve =>
    child.once('close', (code, signal) => {
      hasEnded = true
      running.delete(child)
      resolve(code ?? signal)
    }),
  )
  const isRunning = () => child.exitCode === null && child.signalCode === null
  const waitsFor = (what: string, isSo: () => boolean | Promise<boolean>, ms = START_MS) =>
    until(async () => {
      const isLast = hasEnded
      const isThere = await isSo()
      if (isLast && !isThere) throw new Error('it has ended')
      return isThere
    }, ms).catch(error => {
      throw new Error(`it never ${what} (${error.message}): ${`${output.out}${output.err}`.slice(-2000)}`)
    })
  return {
    pid: child.pid ?? 0,
    process: child,
    output,
    ended,
    isRunning,
    waitsFor,
    says: (text, ms) => waitsFor(`said "${text}"`, () => output.out.includes(text), ms),
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      return ended
    },
  }
}

/** Whether the URL answers 200 within two seconds, on a connection of its own. */
export const isOk = (url: string) =>
  request(url, { signal: AbortSignal.timeout(2_000), reset: true }).then(
    async ({ statusCode, body }) => {
      await body.dump()
      return statusCode === 200
    },
    () => false,
  )
