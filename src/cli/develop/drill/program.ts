import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { request } from 'undici'
import { environmentOfOthers } from '../../../config/settings.ts'
import { systemRuntime as runtime } from '../../../process/runtime.ts'
import { freePort } from '../../network.ts'
import { Failed, type Probe, type Program } from './world.ts'

interface Ports {
  readonly port: number
  readonly sandboxPort: number
}

const START_MS = 30_000
const DATABASE = { DATABASE_URL: 'sqlite:data/drill.db', SYNC_EVERY_HOURS: '0' }
const file = (path: string) => new URL(path, import.meta.url)
const running = new Set<ChildProcess>()

/** However this process ends, no child of it stays. */
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

export async function freePorts(): Promise<Ports> {
  const port = await freePort()
  for (;;) {
    const sandboxPort = await freePort()
    if (sandboxPort !== port) return { port, sandboxPort }
  }
}

/** Resolves when the app is ready. Your own variables reach the handlers; those of this app are left out. */
export async function startProgram(
  folder: string,
  { port, sandboxPort }: Ports,
  probe: Probe = 'none',
): Promise<Program> {
  const logFile = join(folder, 'app.log')
  const log = openSync(logFile, 'a')
  const preload = ['--import', `${file('probe.ts').href}?${probe}`]
  // Handlers run all at once, since mischief that waits must not add up.
  const atOnce = probe !== 'none' ? { HANDLER_CONCURRENCY: '100' } : {}
  const settings = { PORT: String(port), SANDBOX_PORT: String(sandboxPort), ...atOnce }
  const child = spawn(process.execPath, [...preload, fileURLToPath(file('../../../main.ts'))], {
    cwd: folder,
    env: { ...environmentOfOthers(), ...settings, ...DATABASE },
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  running.add(child)
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve(void running.delete(child))))
  const url = `http://localhost:${port}`
  const printed = () => readFileSync(logFile, 'utf8')
  await ready(child, url, printed)
  return {
    url,
    sandboxUrl: `http://127.0.0.1:${sandboxPort}`,
    pid: child.pid ?? 0,
    log: printed,
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** A command of this project, as an operator types it in that folder. */
export async function runBeside(folder: string, path: string, args: readonly string[]) {
  const command = fileURLToPath(file(`../../${path}`))
  const env = { ...environmentOfOthers(), ...DATABASE }
  const child = spawn(process.execPath, [command, ...args], { cwd: folder, env })
  running.add(child)
  const said: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', text => void said.push(String(text)))
  const code = await new Promise<number | null>(resolve => child.once('close', resolve))
  running.delete(child)
  return { code, out: said.join('') }
}

async function ready(child: ChildProcess, url: string, printed: () => string): Promise<void> {
  const giveUpAt = runtime.monotonic() + START_MS
  while (!(await answers(`${url}/ready`))) {
    if (child.exitCode !== null || child.signalCode !== null)
      throw new Failed(`the app ended at its start: ${printed().slice(-600).trim()}`, startsAt(printed()))
    if (runtime.monotonic() > giveUpAt) throw new Failed('the app was not ready within 30 s', 'src/main.ts')
    await runtime.sleep(25)
  }
}

/** A setting of the builder's is the one thing that a bare start may lack: the drill does not read .env. */
const startsAt = (printed: string): string =>
  printed.includes('for your own src/integration/settings.ts')
    ? 'src/integration/settings.ts: the drill does not read .env, so give the setting `development`, or type VARIABLE=… npm run drill'
    : 'src/main.ts'

const answers = (url: string) =>
  request(url).then(
    async ({ statusCode, body }) => {
      await body.dump()
      return statusCode === 200
    },
    () => false,
  )
