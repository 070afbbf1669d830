import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { createApp } from '../../src/app.ts'
import { type Config, loadConfig } from '../../src/config.ts'
import type { Handlers } from '../../src/handlers/context.ts'
import type { Metrics } from '../../src/metrics/metrics.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import type { Runtime } from '../../src/runtime.ts'
import { type Database, openDatabase } from '../../src/storage/database.ts'
import { createSealer } from '../../src/storage/sealing.ts'
import { freePort } from './ports.ts'
import { testRuntime } from './runtime.ts'

export interface TestApp {
  url: string
  app: FastifyInstance
  database: Database
  config: Config
  folder: string
  /** Every log line so far, parsed. */
  log: Record<string, unknown>[]
  close(): Promise<void>
}

export interface TestAppOptions {
  env?: Record<string, string>
  authBase?: string
  apiBase?: string
  runtime?: Runtime
  handlers?: Handlers
  metrics?: Metrics
}

export const WEBHOOK_SECRET = 'whsec_test_0123456789abcdef'
export const CLIENT_SECRET = 'client-secret-for-tests'
const NOWHERE = 'http://127.0.0.1:9'

/** The real app on a real socket and a real database file, against whatever Revento the test brings. */
export async function startApp(o: TestAppOptions = {}): Promise<TestApp> {
  const folder = mkdtempSync(join(tmpdir(), 'revento-app-'))
  const port = await freePort()
  const runtime = o.runtime ?? testRuntime()
  const config = loadConfig({
    PORT: String(port),
    REVENTO_CLIENT_ID: 'client-for-tests',
    REVENTO_CLIENT_SECRET: CLIENT_SECRET,
    REVENTO_WEBHOOK_SECRET: WEBHOOK_SECRET,
    REVENTO_AUTH_BASE: o.authBase ?? NOWHERE,
    REVENTO_API_BASE: o.apiBase ?? `${NOWHERE}/api/v1`,
    DATABASE_URL: `sqlite:${join(folder, 'test.db')}`,
    ...o.env,
  })
  const log: Record<string, unknown>[] = []
  const logger = pino({ level: 'trace', base: null }, { write: line => void log.push(JSON.parse(line)) })
  const database = await openDatabase(config.databasePath, runtime)
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, runtime)
  const edge = { database, sealer, outgoing: createOutgoing(), runtime, logger }
  const { handlers, metrics } = o
  const app = await createApp(config, { ...edge, ...(handlers && { handlers }), ...(metrics && { metrics }) })
  await app.listen({ host: config.host, port })
  return {
    url: `http://localhost:${port}`,
    app,
    database,
    config,
    folder,
    log,
    close: async () => {
      await app.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
