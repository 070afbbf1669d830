import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from './ports.ts'
import { until } from './wait.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

/** `npm start` as a process of its own, in an empty folder, with its sandbox. */
export interface Program {
  url: string
  sandboxUrl: string
  folder: string
  child: ChildProcess
  /** Everything it printed. */
  output(): string
  exited: Promise<number | null>
  stop(): Promise<number | null>
}

export async function startProgram(env: Record<string, string> = {}, folder?: string): Promise<Program> {
  const home = folder ?? mkdtempSync(join(tmpdir(), 'revento-program-'))
  const ports = { PORT: String(await freePort()), SANDBOX_PORT: String(await freePort()) }
  const settings = { ...ports, ...env }
  let printed = ''
  const child = spawn(process.execPath, [MAIN], {
    cwd: home,
    env: { PATH: process.env['PATH'], ...settings },
  })
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (printed += String(chunk)))
  const exited = new Promise<number | null>(resolve => child.once('exit', resolve))
  await until(() => printed.includes('Ready: open') || child.exitCode !== null)
  if (child.exitCode !== null) throw new Error(`the program ended at once:\n${printed}`)
  return {
    url: `http://localhost:${settings.PORT}`,
    sandboxUrl: `http://127.0.0.1:${settings.SANDBOX_PORT}`,
    folder: home,
    child,
    output: () => printed,
    exited,
    stop: async () => {
      child.kill('SIGTERM')
      const code = await exited
      if (folder === undefined) rmSync(home, { recursive: true, force: true })
      return code
    },
  }
}
