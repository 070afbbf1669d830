import { rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { makeFolder, testFolder } from './folder.ts'
import { freePort } from './ports.ts'
import { type Child, launch } from './stage.ts'

export const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
/** This module gives the program a handler for every type, whatever the builder has made of the template's. */
export const HANDLERS = new URL('put-handlers.ts', import.meta.url).href

/** `npm start` as a process of its own, with its sandbox, on free ports. */
export interface Program extends Child {
  readonly url: string
  readonly sandboxUrl: string
  readonly port: number
  readonly sandboxPort: number
  readonly folder: string
}

interface Start {
  readonly folder: string
  readonly env?: Record<string, string> | undefined
  readonly args?: readonly string[] | undefined
}

async function launchMain({ folder, env, args = [] }: Start): Promise<Program> {
  const [port, sandboxPort] = [await freePort(), await freePort()]
  const settings = { PORT: String(port), SANDBOX_PORT: String(sandboxPort), ...env }
  const child = launch(['--import', HANDLERS, MAIN, ...args], { cwd: folder, env: settings })
  return {
    ...child,
    url: `http://localhost:${settings.PORT}`,
    sandboxUrl: `http://127.0.0.1:${settings.SANDBOX_PORT}`,
    port,
    sandboxPort,
    folder,
  }
}

/** Starts the program and resolves before it is ready. It is killed after the test where it still runs. */
export async function startMain(o: Partial<Start> = {}): Promise<Program> {
  const env = { DATABASE_URL: 'sqlite:data/test.db', ...o.env }
  const program = await launchMain({ ...o, folder: o.folder ?? testFolder(), env })
  onTestFinished(async () => void (await program.stop('SIGKILL')))
  return { ...program, url: program.url.replace('localhost', '127.0.0.1') }
}

/** Starts the program and resolves when it is ready. It runs until it is stopped; a folder of its own is removed then. */
export async function startProgram(env: Record<string, string> = {}, folder?: string): Promise<Program> {
  const made = folder ?? makeFolder().path
  const program = await launchMain({ folder: made, env })
  const stop = async (signal?: NodeJS.Signals) => {
    const code = await program.stop(signal)
    if (folder === undefined) rmSync(made, { recursive: true, force: true })
    return code
  }
  await program.says('Ready: open').catch(async error => {
    await stop('SIGKILL')
    throw error
  })
  return { ...program, stop }
}

/** An empty program takes about 40 ms on an idle machine. Up to twice that counts as not slow. */
const IDLE_MS = 80

/** Measures by what factor, at least 1, this machine is slower now, because other tests use the processor too. */
export async function slowness(): Promise<number> {
  const begun = performance.now()
  await launch(['-e', '0']).ended
  return Math.max(1, (performance.now() - begun) / IDLE_MS)
}

export const logLines = ({ output }: Child): Record<string, unknown>[] =>
  output.out
    .split('\n')
    .filter(Boolean)
    .map(line => JSON.parse(line))
