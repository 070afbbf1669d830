import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { createSealer } from '../../src/keys/sealing.ts'
import { createConnections } from '../../src/oauth/connections.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import type { Database, Store } from '../../src/storage/database.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { type Platform, startPlatform } from './platform.ts'
import { until } from './wait.ts'

const WORKER = fileURLToPath(new URL('refresh-worker.ts', import.meta.url))
const key = { eventId: 'evt_test_published', organizationId: 'org_test_formal' }

/** Starts processes that all call the API with one connection, for tests that count the requests to the token endpoint. */
export async function startWorkers(store: Store, databaseUrl: string, count: number) {
  const platform = await startPlatform({ tokenDelayMs: 10 })
  const database = await openDatabase(store, runtime)
  await connect(database, platform)
  const { authBase, apiBase } = platform.upstream
  const workers = Array.from({ length: count }, () => startWorker([databaseUrl, authBase, apiBase]))
  for (const worker of workers) await until(() => worker.lines[0] === 'ready', 20_000)
  return {
    platform,
    query: database.query,
    /** Lets every access token expire, lets all processes call at once, and returns their outcomes. */
    async expireAndCall(): Promise<string[]> {
      platform.expire()
      return Promise.all(workers.map(worker => worker.call()))
    },
    async stop() {
      for (const { child } of workers) child.kill('SIGKILL')
      await platform.upstream.close()
      await database.close()
    },
  }
}

function startWorker(args: string[]) {
  const child = spawn(process.execPath, [WORKER, ...args])
  const lines: string[] = []
  child.stderr.pipe(process.stderr)
  createInterface({ input: child.stdout }).on('line', line => lines.push(line))
  const call = async () => {
    const before = lines.length
    child.stdin.write('go\n')
    return until(() => lines[before], 40_000)
  }
  return { child, lines, call }
}

async function connect(database: Database, platform: Platform): Promise<void> {
  const { access_token: accessToken, refresh_token: refreshToken } = platform.issue()
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, runtime)
  const log = { error() {}, warn() {} }
  const lifetimes = { expiresIn: 3600, refreshExpiresIn: undefined, scope: 'event.read' }
  const connections = createConnections(database.query, sealer, runtime, { log, platform: 'real' })
  await connections.save({ accessToken, refreshToken, ...lifetimes, ...key })
}
