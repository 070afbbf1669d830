import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { runCommand } from '../command.ts'

const HELP = `Usage: npm run dev [-- --host ADDRESS] [--port PORT] [--inspect]

Runs the app as npm start does, and starts it again whenever a file of src/ or .env changes. The new code is loaded before
the old app is stopped; where it does not load, the error is shown and the old app goes on. Connections, people and the
sandbox's clock stay as they are.

  --inspect  a debugger may attach, at 127.0.0.1:9229 (VS Code: "Attach to Node Process"; Chrome: chrome://inspect)
`

const CHILD = fileURLToPath(new URL('./dev/child.ts', import.meta.url))
const SRC = fileURLToPath(new URL('../../../src/', import.meta.url))
const LOOK_EVERY_MS = 100
/** A little more than a stop of the app may take. */
const STOP_MS = 10_000

interface Flags {
  readonly host?: string | undefined
  readonly port?: string | undefined
  readonly inspect?: boolean | undefined
}

/** Runs the app until a signal comes, and resolves when it has stopped. */
async function main({ host, port, inspect = false }: Flags): Promise<number> {
  const args = [
    ...(host === undefined ? [] : ['--host', host]),
    ...(port === undefined ? [] : ['--port', port]),
  ]
  const stopping = stopsWithParent()
  let running: ChildProcess | undefined
  let seen = ''
  while (!stopping.aborted) {
    const state = await settled(seen, stopping)
    if (stopping.aborted) break
    seen = state
    const next = await load(args)
    if (next && state === snapshot()) {
      await end(running)
      next.once('exit', sayNothingRuns)
      next.send({ inspect })
      running = next
    } else if (next) next.kill('SIGKILL')
    else if (isRunning(running)) say('The code before it goes on.')
    else sayNothingRuns()
  }
  await end(running)
  return 0
}

const say = (text: string) => process.stderr.write(`\n${text}\n\n`)
/** Also for code that loads and then fails at its start, as by a route without a guard: the old app has stopped then. */
const sayNothingRuns = () => say('Nothing runs until it is mended.')

const isRunning = (child: ChildProcess | undefined): child is ChildProcess =>
  child !== undefined && child.exitCode === null && child.signalCode === null

/** Fires at a signal, and when npm ends: its shell passes no signal on. */
function stopsWithParent(): AbortSignal {
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopping.abort())
  const parent = process.ppid
  setInterval(() => process.ppid !== parent && stopping.abort(), 250).unref()
  return stopping.signal
}

/** Waits until the files differ from `before`, and stay the same for a moment. */
async function settled(before: string, signal: AbortSignal): Promise<string> {
  let last = before
  for (;;) {
    const now = snapshot()
    if (now === last && now !== before) return now
    last = now
    await runtime.sleep(LOOK_EVERY_MS, signal).catch(() => {})
    if (signal.aborted) return now
  }
}

/** The state of the files, read at intervals because editors and systems report changes in many ways: 4 ms for 400 files. */
function snapshot(): string {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).map(name => join(SRC, name))
  return [...files, '.env'].map(stampOf).join('\n')
}

function stampOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false })
  return found?.isFile() ? `${path} ${found.ino} ${found.size} ${found.mtimeMs}` : ''
}

/** Starts a process that loads everything and waits for its turn; undefined where it cannot load. */
async function load(args: string[]): Promise<ChildProcess | undefined> {
  const child = spawn(process.execPath, [CHILD, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  })
  const loaded = await new Promise<boolean>(resolve => {
    child.once('message', () => resolve(true))
    child.once('exit', () => resolve(false))
  })
  return loaded ? child : undefined
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (!isRunning(child)) return
  child.off('exit', sayNothingRuns)
  const ended = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGTERM')
  const impatient = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await ended
  clearTimeout(impatient)
}

await runCommand({
  name: 'dev',
  help: HELP,
  options: { host: { type: 'string' }, port: { type: 'string' }, inspect: { type: 'boolean' } },
  main,
})
