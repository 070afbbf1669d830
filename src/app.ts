import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { Handlers } from './builder/context.ts'
import { type Integration, integration, openBuilder } from './builder/index.ts'
import { meRoutes } from './builder/me.ts'
import type { Config } from './config/settings.ts'
import { createProbe, health } from './http/health.ts'
import { createTraces } from './http/request-log.ts'
import { createServer } from './http/server.ts'
import { handlers } from './integration/handlers/index.ts'
import { mePage } from './integration/me.ts'
import type { KeyInstance } from './keys/key-instances.ts'
import { appKeys } from './keys/known-keys.ts'
import { createMeter } from './keys/meter.ts'
import type { Sealer } from './keys/sealing.ts'
import { countRefreshes, type Metrics, noMetrics } from './metrics/metrics.ts'
import { createOAuth } from './oauth/index.ts'
import { createOperator } from './operator/index.ts' // part: operator
import { errorPage, onwardPage } from './pages/messages.ts'
import { atMost, type Runtime } from './process/runtime.ts'
import { createSteadyClock } from './process/trusted-time.ts'
import { createApiClient } from './revento/api.ts'
import { WINDOWS } from './revento/budget.ts'
import type { Outgoing } from './revento/http.ts'
import type { ConnectionKey } from './revento/platform.ts'
import { createTokenEndpoint } from './revento/token-endpoint.ts'
import { status } from './status/index.ts'
import { createPage } from './status/page/page.ts' // part: page
import { createTitles } from './status/page/titles.ts' // part: page
import { start } from './status/start.ts'
import { createBudgets } from './storage/api-budgets.ts'
import type { Database } from './storage/database.ts'
import { createDrift } from './storage/drift.ts'
import { createSync } from './sync/index.ts'
import { createWebhooks } from './webhooks/index.ts'

export interface AppEdge {
  readonly database: Database
  readonly sealer: Sealer
  /** Undefined in tests with one key. */
  readonly instance?: KeyInstance
  readonly outgoing: Outgoing
  readonly runtime: Runtime
  readonly logger: FastifyBaseLogger
  /** Tests replace the handlers and the builder's other parts. */
  readonly handlers?: Handlers
  readonly integration?: Integration
  /** Fires when the app is closed because of an error that nobody caught. */
  readonly crashed?: AbortSignal
  /** Undefined where METRICS_PORT is not set. */
  readonly metrics?: Metrics
}

/** How long a stop waits for a refresh under way: cut off, the next process would have to repeat it with a spent token. */
const STOP_MS = 9_000

/** How long a stop waits until the last uses of keys are stored. */
const LAST_NOTES_MS = 500

/** Joins the rooms: each makes its own parts, and gets here what it needs from the others. */
export async function createApp(config: Config, edge: AppEdge): Promise<FastifyInstance> {
  const { database, runtime, logger: log, outgoing } = edge
  const { query } = database
  const stopped = new AbortController()
  const clock = createSteadyClock(runtime, ms =>
    log.warn({ part: 'clock', by_ms: ms }, 'the clock was set: nothing is removed by age for an hour'),
  )
  const metrics = { ...(edge.metrics ?? noMetrics) }
  // part: operator {
  const operator = createOperator(config, { query, clock, log }, runtime)
  Object.assign(metrics, operator.counting({ ...metrics }))
  // part: operator }
  const keys = appKeys(config, edge.sealer)
  const meter = createMeter({ query, keys, sealer: edge.sealer, clock, log }, runtime)
  metrics.watchKeys(meter.states)
  const traces = createTraces()
  const observe = createDrift(query, config.mode, log)
  const tokenEndpoint = countRefreshes(
    createTokenEndpoint({ ...config, observe }, outgoing.token, runtime),
    metrics,
  )
  const apiClient = createApiClient(
    {
      ...{ apiBase: config.apiBase, dispatcher: outgoing.api, log, observe, count: metrics.apiRequest },
      ...{ budgets: createBudgets(query, config.mode), windows: WINDOWS },
    },
    runtime,
  )
  const oauth = createOAuth(
    config,
    {
      ...{ query, sealer: meter.sealer, clock, tokenEndpoint, apiClient, traceOf: traces.of, log },
      ...{ stopping: stopped.signal, lifted: () => webhooks.resume() },
    },
    runtime,
  )
  const { production, mode } = config
  const builder = await openBuilder(
    { integration: edge.integration ?? integration, own: config.own, production, mode, query, log },
    runtime,
  )
  const webhooks = createWebhooks(
    config,
    {
      ...{ database, clock, oauth, apiClient, metrics, log, noteUse: meter.noteUse, observe },
      ...{
        handlers: edge.handlers ?? handlers,
        own: builder.own,
        erase: builder.erase,
        crashed: edge.crashed,
      },
    },
    runtime,
  )
  const { inbox, handling, deliveries, resume } = webhooks
  const { sync: choices } = edge.integration ?? integration
  const sync = createSync(
    config,
    { query, oauth, apiClient, inbox, choices, count: metrics.sync, log },
    runtime,
  )
  const connected = (key: ConnectionKey) => {
    resume(key)
    sync.connected(key)
  }
  const trouble = createProbe(database, inbox, handling, runtime)

  const { appName } = config
  const app = createServer({
    ...{ https: config.https, logger: log, runtime },
    errorPage: (...error) => errorPage(appName, ...error),
  })
  app.addHook('onRequest', traces.begin)
  let stopBy = Number.POSITIVE_INFINITY
  let jobsEnded: Promise<void> | undefined
  app.addHook('preClose', async () => {
    stopBy = runtime.monotonic() + STOP_MS
    stopped.abort()
    jobsEnded = builder.stopJobs()
  })
  // This hook is added first and so runs last: the parts of other hooks still use what it closes.
  app.addHook('onClose', async () => {
    const flushed = atMost(runtime, LAST_NOTES_MS, meter.flush())
    await jobsEnded
    await atMost(runtime, Math.max(0, stopBy - runtime.monotonic()), sync.worker.settled())
    const servicesStopped = builder.stopServices()
    await atMost(runtime, Math.max(0, stopBy - runtime.monotonic()), oauth.accessTokens.settled())
    await servicesStopped
    await outgoing.close()
    await flushed
    await database.close()
  })
  await app.register(health, { trouble, runtime })
  await app.register(oauth.routes, { onwardPage: url => onwardPage(appName, url), resume: connected })
  await app.register(webhooks.routes, { prefix: '/webhooks' })
  const common = {
    ...{ appName, origin: config.origin, production: config.production },
    defaultEventId: config.defaultEventId,
    sandbox: config.mode === 'sandbox' ? { url: config.authBase } : undefined,
    ...{ sessions: oauth.sessions, connections: oauth.connections, api: oauth.api, deliveries, sync },
    runtime,
  }
  // part: page {
  const page = createPage({
    ...{ ...common, requestedScopes: config.scopes.split(' '), titles: createTitles(runtime) },
    ...{ people: sync.people, keyChanges: meter.changes, trouble },
  })
  await app.register(page.routes)
  // part: page }
  const organizer = {
    ...common,
    page, // part: page
  }
  await app.register(status, organizer)
  // part: operator {
  await app.register(operator.routes, {
    ...{ deliveries, handling, keyChanges: meter.changes, trouble },
    providers: Object.keys(config.providerSecrets),
  })
  // part: operator }
  await app.register(builder.routes, {
    ...{ appName, origin: config.origin, sessions: oauth.sessions, login: oauth.login },
    ...{ connections: oauth.connections, api: oauth.api },
    ...{ accessTokens: oauth.accessTokens, apiClient },
  })
  await app.register(start, organizer)
  if (oauth.login) {
    const { origin, production } = config
    await app.register(meRoutes, { appName, origin, production, login: oauth.login, page: mePage })
  }
  // Work begins once the app listens: a start that fails on a used port must not have claimed anything.
  app.addHook('onListen', async () => {
    const aged = [...oauth.aged]
    aged.push(...operator.aged) // part: operator
    webhooks.start(aged, stopped.signal)
    operator.watch(stopped.signal) // part: operator
    oauth.watch(stopped.signal)
    sync.start(stopped.signal)
    const { connections, accessTokens } = oauth
    builder.startJobs({ connections, accessTokens, apiClient, origin: config.origin, count: metrics.job })
    void meter.watch(stopped.signal)
    void edge.instance?.watch(log, stopped.signal)
  })
  return app
}
