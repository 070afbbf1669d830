import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { runCommand } from '../command.ts'

const HELP = `Usage: npm run dev [-- --host ADDRESS] [--port PORT] [--inspect]

Runs the app as npm start does, and once more whenever a file of src/ or .env changes: the new code is loaded first, then
the old one is stopped. Code that does not load is shown, and the old one goes on. The database and the sandbox keep what
they have: connections, people, the clock.

  --inspect  a debugger may attach, at 127.0.0.1:9229 (VS Code: "Attach to Node Process"; Chrome: chrome://inspect)
`

const CHILD = fileURLToPath(new URL('./dev/child.ts', import.meta.url))
const SRC = fileURLToPath(new URL('../../../src/', import.meta.url))
const COMPILED = fileURLToPath(new URL('../../../node_modules/.cache/compiled/', import.meta.url))
const LOOK_EVERY_MS = 100
/** What a stop of the app may last, and a little more. */
const STOP_MS = 10_000

interface Flags {
  readonly host?: string | undefined
  readonly port?: string | undefined
  readonly inspect?: boolean | undefined
}

/** Resolves when a signal came and nothing runs any more. */
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
      next.send({ inspect })
      running = next
    } else if (next) next.kill('SIGKILL')
    else
      say(
        running && running.exitCode === null
          ? 'The code before it goes on.'
          : 'Nothing runs until it is mended.',
      )
  }
  await end(running)
  return 0
}

const say = (text: string) => process.stderr.write(`\n${text}\n\n`)

/** Fires at a signal, and when npm ends: its shell passes no signal on. */
function stopsWithParent(): AbortSignal {
  const stopping = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopping.abort())
  const parent = process.ppid
  setInterval(() => process.ppid !== parent && stopping.abort(), 250).unref()
  return stopping.signal
}

/** Waits until the files are other than `before`, and nobody writes them any more. */
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

/**
 * Looked at, not watched: editors write in place, replace the file, or write beside it and rename, and each system tells
 * that in another way. 400 files take 4 ms.
 */
function snapshot(): string {
  const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' }).map(name => join(SRC, name))
  return [...files, '.env'].map(stampOf).join('\n')
}

function stampOf(path: string): string {
  const found = statSync(path, { throwIfNoEntry: false })
  return found?.isFile() ? `${path} ${found.ino} ${found.size} ${found.mtimeMs}` : ''
}

/** A process that has loaded everything and waits for its word; undefined where it could not. */
async function load(args: string[]): Promise<ChildProcess | undefined> {
  const child = spawn(process.execPath, [CHILD, ...args], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    // What did not change is not compiled again: loading takes half as long.
    env: { NODE_COMPILE_CACHE: COMPILED, ...process.env },
  })
  const loaded = await new Promise<boolean>(resolve => {
    child.once('message', () => resolve(true))
    child.once('exit', () => resolve(false))
  })
  return loaded ? child : undefined
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (!child || child.exitCode !== null || child.signalCode !== null) return
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
