import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { type Integration, openBuilder } from './builder/index.ts'
import type { Config } from './config/settings.ts'
import { createProbe, health } from './http/health.ts'
import { createServer } from './http/server.ts'
import type { KeyInstance } from './keys/key-instances.ts'
import { appKeys } from './keys/known-keys.ts'
import { createMeter } from './keys/meter.ts'
import type { Sealer } from './keys/sealing.ts'
import { type Metrics, noMetrics } from './metrics/metrics.ts'
import { SETTLED_MS } from './oauth/access-token.ts'
import { createOAuth } from './oauth/index.ts'
import { createOperator } from './operator/index.ts' // part: operator
import { errorPage, onwardPage } from './pages/messages.ts'
import { atMost, type Runtime } from './process/runtime.ts'
import { createSteadyClock } from './process/trusted-time.ts'
import type { Outgoing } from './revento/http.ts'
import { createClients } from './revento/index.ts'
import { createStatus } from './status/index.ts'
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
  /** Tests bring parts in place of the builder's. */
  readonly integration?: Partial<Integration>
  /** Fires when the app is closed because of an error that nobody caught. */
  readonly crashed?: AbortSignal
  /** Undefined where METRICS_PORT is not set. */
  readonly metrics?: Metrics
}

/** Joins the rooms: each makes its own parts, and gets here what it needs from the others. */
export async function createApp(config: Config, edge: AppEdge): Promise<FastifyInstance> {
  const { database, integration, outgoing, runtime, logger: log } = edge
  const { query } = database
  const { appName, https, mode } = config
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
  const { app, traceOf } = createServer({ https, logger: log, runtime, errorPage: errorPage(appName) })
  const observe = createDrift(query, mode, log)
  const budgets = createBudgets(query, mode)
  const clients = createClients(config, { outgoing, budgets, observe, counters: metrics, log }, runtime)
  const { apiClient } = clients
  const oauth = createOAuth(
    config,
    {
      ...{ ...clients, query, sealer: meter.sealer, clock, traceOf, log },
      ...{ stopping: stopped.signal, lifted: () => webhooks.resume() },
    },
    runtime,
  )
  const builder = await openBuilder(config, { integration, query, oauth, apiClient, metrics, log }, runtime)
  const { handlers, own, erase, sync: choices } = builder
  const webhooks = createWebhooks(
    config,
    {
      ...{ database, clock, oauth, apiClient, handlers, own, erase, metrics, observe, log },
      ...{ noteUse: meter.noteUse, crashed: edge.crashed },
    },
    runtime,
  )
  const { inbox, handling, deliveries } = webhooks
  const sync = createSync(config, { query, oauth, apiClient, inbox, choices, metrics, log }, runtime)
  const trouble = createProbe(database, inbox, handling, runtime)
  const keyChanges = meter.changes
  const status = createStatus(config, { oauth, deliveries, sync, keyChanges, trouble }, runtime)

  let stopBy = Number.POSITIVE_INFINITY
  let jobsEnded: Promise<void> | undefined
  app.addHook('preClose', async () => {
    stopBy = runtime.monotonic() + SETTLED_MS
    stopped.abort()
    jobsEnded = builder.stopJobs()
  })
  // This hook is added first and so runs last: the parts of other hooks still use what it closes.
  app.addHook('onClose', async () => {
    const inTime = (end: Promise<void>) => atMost(runtime, Math.max(0, stopBy - runtime.monotonic()), end)
    const usesStored = meter.stop()
    await jobsEnded
    await inTime(sync.worker.settled())
    const servicesStopped = builder.stopServices()
    await inTime(oauth.accessTokens.settled())
    await servicesStopped
    await outgoing.close()
    await usesStored
    await database.close()
  })
  await app.register(health, { trouble, runtime })
  await app.register(oauth.routes, {
    onwardPage: onwardPage(appName),
    resume(key) {
      webhooks.resume(key)
      sync.connected(key)
    },
  })
  await app.register(webhooks.routes, { prefix: '/webhooks' })
  await app.register(status.routes)
  await app.register(operator.routes, { deliveries, handling, keyChanges, trouble }) // part: operator
  await app.register(builder.routes)
  await app.register(status.start)
  // Work begins once the app listens: a start that fails on a used port must not have claimed anything.
  app.addHook('onListen', async () => {
    const aged = [...oauth.aged]
    aged.push(...operator.aged) // part: operator
    webhooks.start(aged, stopped.signal)
    operator.watch(stopped.signal) // part: operator
    oauth.watch(stopped.signal)
    sync.start(stopped.signal)
    builder.startJobs()
    void meter.watch(stopped.signal)
    void edge.instance?.watch(log, stopped.signal)
  })
  return app
}
