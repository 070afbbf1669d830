import type { FastifyInstance } from 'fastify'
import { createApp } from '../../src/app.ts'
import type { Handlers } from '../../src/builder/context.ts'
import type { Forms } from '../../src/builder/define.ts'
import type { Integration } from '../../src/builder/index.ts'
import { type Config, loadConfig } from '../../src/config/settings.ts'
import { settings } from '../../src/integration/settings.ts'
import { createSealer } from '../../src/keys/sealing.ts'
import type { Metrics } from '../../src/metrics/metrics.ts'
import { createLines } from '../../src/process/logger.ts'
import type { Runtime } from '../../src/process/runtime.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import type { Database } from '../../src/storage/database.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { newStore } from './database.ts'
import { exampleHandlers } from './example-handlers.ts'
import { ownValues } from './own-values.ts'
import { freePort } from './ports.ts'
import { testRuntime } from './runtime.ts'
import { CLIENT_SECRET, WEBHOOK_SECRET } from './secrets.ts'
import { type CountRows, countingRows } from './statements.ts'

export interface TestApp {
  url: string
  app: FastifyInstance
  database: Database
  config: Config
  /** Every log line so far, parsed. */
  log: Record<string, unknown>[]
  close(): Promise<void>
}

export interface TestAppOptions {
  /** The database is one that others use too. Where it is absent the app gets one of its own. */
  databaseUrl?: string
  env?: Record<string, string | undefined>
  authBase?: string
  apiBase?: string
  runtime?: Runtime
  /** Where it is absent there is one handler for each type. */
  handlers?: Handlers
  /** The app has only these services, routes and jobs. */
  integration?: Partial<Integration>
  /** The app runs with the handlers, services, routes, jobs and settings of src/integration, as in production. */
  own?: true
  /** These variables stand for those of src/integration. */
  settings?: Forms
  metrics?: Metrics
  /** Called for each statement of the app; those of the test are not counted. */
  countRows?: CountRows
  /** The most connections to PostgreSQL. A start sends many queries at once and would open ten: twice the server's work. */
  connections?: number
}

export { CLIENT_SECRET, WEBHOOK_SECRET }

const NOWHERE = 'http://127.0.0.1:9'

/** The real app on a real socket and a real database file, against whatever Revento the test brings. */
export async function startApp(o: TestAppOptions = {}): Promise<TestApp> {
  const made = o.databaseUrl ? { url: o.databaseUrl, drop: async () => {} } : await newStore()
  const port = await freePort()
  const runtime = o.runtime ?? testRuntime()
  const config = loadConfig(
    {
      PORT: String(port),
      REVENTO_CLIENT_ID: 'client-for-tests',
      REVENTO_CLIENT_SECRET: CLIENT_SECRET,
      REVENTO_WEBHOOK_SECRET: WEBHOOK_SECRET,
      REVENTO_AUTH_BASE: o.authBase ?? NOWHERE,
      REVENTO_API_BASE: o.apiBase ?? `${NOWHERE}/api/v1`,
      REVENTO_EVENT_ID: 'evt_test_published',
      DATABASE_URL: made.url,
      // Comparisons are off, because many tests count the calls of the API; a test of comparisons turns them on.
      SYNC_EVERY_HOURS: '0',
      ...(o.own && ownValues),
      ...o.env,
    },
    o.settings ?? (o.own ? settings : {}),
  )
  const log: Record<string, unknown>[] = []
  const logger = createLines('trace', line => void log.push(JSON.parse(line)))
  const { connections = 2 } = o
  const store = config.store.kind === 'postgres' ? { ...config.store, connections } : config.store
  const database = await openDatabase(store, runtime)
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, runtime)
  const seen = o.countRows ? countingRows(database, o.countRows) : database
  const edge = { database: seen, sealer, outgoing: createOutgoing(), runtime, logger }
  const { handlers = exampleHandlers, metrics } = o
  const integration = {
    handlers,
    services: {},
    routes: () => {},
    jobs: [],
    erase: {},
    sync: { tellFirstRun: false },
    ...o.integration,
  }
  const brought = o.own ? {} : { integration }
  const app = await createApp(config, { ...edge, ...brought, ...(metrics && { metrics }) })
  await app.listen({ host: config.host, port })
  return {
    url: `http://localhost:${port}`,
    app,
    database,
    config,
    log,
    close: async () => {
      await app.close()
      await made.drop()
    },
  }
}

/** Returns the path of the database file; throws where the store is PostgreSQL. */
export function fileOf({ config }: Pick<TestApp, 'config'>): string {
  if (config.store.kind !== 'sqlite')
    throw new Error('this test is about a file: it cannot run on PostgreSQL')
  return config.store.path
}
