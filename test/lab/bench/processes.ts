import { execFileSync, spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '../../helpers/ports.ts'
import { launch } from '../../helpers/stage.ts'
import type { Load, LoadResult } from './load.ts'

export const SECRET = 'webhook-secret-for-the-bench'
const { scripts } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as {
  scripts: { start?: string }
}
const file = (path: string) => fileURLToPath(new URL(path, import.meta.url))

export interface Server {
  /** Where webhooks go. */
  readonly url: string
  readonly pid: number
  readonly startMs: number
  /** The most it held while it was watched, in MB. */
  peakMb(): number
  /** Gives the exit code; null after a kill. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  isRunning(): boolean
}

/** The flags of `npm start`. */
const FLAGS = (scripts.start ?? '').split(' ').filter(word => word.startsWith('--'))

/** The real program, as `npm start` runs it, on the real platform's settings; its log goes into `folder`. */
export async function startApp(
  folder: string,
  env: Record<string, string> = {},
  log = join(folder, 'app.log'),
): Promise<Server> {
  const port = String(await freePort())
  const credentials = { REVENTO_CLIENT_ID: 'bench', REVENTO_CLIENT_SECRET: 'client-secret-bench' }
  const settings = { PORT: port, REVENTO_WEBHOOK_SECRET: SECRET, DATABASE_URL: `sqlite:${folder}/bench.db` }
  return start([...FLAGS, file('../../../src/main.ts')], port, {
    cwd: folder,
    env: { ...credentials, ...settings, ...env },
    log,
  })
}

export async function startPeer(kind: string, folder: string): Promise<Server> {
  const port = String(await freePort())
  return start([file('peers.ts'), kind, port, SECRET], port, {
    cwd: folder,
    env: {},
    log: join(folder, 'peer.log'),
  })
}

async function start(
  args: string[],
  port: string,
  { cwd, env, log }: { cwd: string; env: Record<string, string>; log: string },
): Promise<Server> {
  const begun = performance.now()
  const child = launch(args, { cwd, env, log })
  const url = `http://127.0.0.1:${port}`
  // Not /ready: whoever has asked that is given notice before the end, which takes two seconds.
  await child.waitsFor('answered', () => answers(`${url}/health`))
  const startMs = Math.round(performance.now() - begun)
  const watch = watchMemory(child.pid)
  return {
    url: `${url}/webhooks/revento`,
    pid: child.pid,
    startMs,
    peakMb: () => watch.peak,
    isRunning: child.isRunning,
    async stop(signal) {
      clearInterval(watch.timer)
      const end = await child.stop(signal)
      return typeof end === 'number' ? end : null
    },
  }
}

/** Any answer: the peers have no such route, and say so. */
const answers = (url: string) =>
  fetch(url).then(
    () => true,
    () => false,
  )

function watchMemory(pid: number) {
  const watch = { peak: 0, timer: setInterval(sample, 500) }
  function sample() {
    const kb = Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' }))
    watch.peak = Math.max(watch.peak, Math.round(kb / 1024))
  }
  return watch
}

/** The load runs in a process of its own, so that it costs the server no event loop time. */
export function runLoad(load: Load): Promise<LoadResult> {
  const child = spawn(process.execPath, [file('load.ts'), JSON.stringify(load)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.on('data', chunk => (printed += chunk))
  return new Promise((resolve, reject) => {
    child.once('close', code => {
      if (code === 0) resolve(JSON.parse(printed))
      else reject(new Error(`the load ended with ${code}`))
    })
  })
}
