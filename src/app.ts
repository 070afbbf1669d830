import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { Handlers } from './builder/context.ts'
import type { Db } from './builder/db.ts'
import type { Config } from './config/settings.ts'
import { createConnectLimit } from './http/address-limit.ts'
import { createProbe, health } from './http/health.ts'
import { cookiePrefix } from './http/own-host.ts'
import { createServer } from './http/server.ts'
import { createTraces } from './http/trace.ts'
import { handlers } from './integration/handlers/index.ts'
import type { KeyInstance } from './keys/key-instances.ts'
import { heldKeys } from './keys/known-keys.ts'
import { createMeter } from './keys/meter.ts'
import type { Sealer } from './keys/sealing.ts'
import { countRefreshes, timeCommits } from './metrics/counted.ts'
import { type Metrics, noMetrics } from './metrics/metrics.ts'
import { createAccessTokens, isParking } from './oauth/access-token.ts'
import { type ConnectionKey, createConnections } from './oauth/connections.ts'
import { connectUrl, watchEndings } from './oauth/ending-soon.ts'
import { createFlows, flowRows } from './oauth/flows.ts'
import { oauth } from './oauth/index.ts'
import { watchUnused } from './oauth/keep-alive.ts'
import { createRefresh } from './oauth/refresh.ts'
import { createRefreshLeases } from './oauth/refresh-lease.ts'
import { createSessions, SESSION_ROWS } from './oauth/sessions.ts'
import { createDescribeError } from './process/describe-error.ts'
import { atMost, type Runtime } from './process/runtime.ts'
import { createSteadyClock } from './process/trusted-time.ts'
import { createApiClient } from './revento/api.ts'
import { WINDOWS } from './revento/budget.ts'
import { createBudgets } from './revento/budgets.ts'
import type { Outgoing } from './revento/http.ts'
import { createTokenEndpoint } from './revento/token-endpoint.ts'
import { status } from './status/index.ts'
import { createTitles } from './status/titles.ts'
import { errorPage, onwardPage } from './status/views.messages.ts'
import type { Database } from './storage/database.ts'
import { createEventData } from './storage/event-data.ts'
import { watchLog } from './storage/sqlite/log.ts'
import { createDispatcher } from './webhooks/dispatch/dispatcher.ts'
import { handlerSlips } from './webhooks/dispatch/handler-slips.ts'
import { createOwed } from './webhooks/dispatch/owed.ts'
import {
  createRunHandler,
  findInlineHandler,
  findOwed,
  findQueuedHandler,
} from './webhooks/dispatch/run-handler.ts'
import { CALLER_ROWS, createHandshakeCallers } from './webhooks/handshake/callers.ts'
import { createBacklog } from './webhooks/inbox/backlog.ts'
import { createDeliveries } from './webhooks/inbox/deliveries.ts'
import { createInbox } from './webhooks/inbox/inbox.ts'
import { oldestWaitMs } from './webhooks/inbox/oldest.ts'
import { watchRetention } from './webhooks/inbox/retention.ts'
import { webhooks } from './webhooks/index.ts'
import { answerRows, createInlineAnswers } from './webhooks/inline/answers.ts'
import { createInline } from './webhooks/inline/inline.ts'

export interface AppEdge {
  readonly database: Database
  readonly sealer: Sealer
  /** Tests without several keys have none. */
  readonly instance?: KeyInstance
  readonly outgoing: Outgoing
  readonly runtime: Runtime
  readonly logger: FastifyBaseLogger
  /** Tests bring their own. */
  readonly handlers?: Handlers
  /** Fires when the app is closed because of an error that nobody caught. */
  readonly crashed?: AbortSignal
  /** Where METRICS_PORT is set. */
  readonly metrics?: Metrics
}

/** A refresh under way gets what a stop may last; later, the next process has to ask again with a spent token. */
const STOP_MS = 9_000

/** Which keys were used in the last minute is worth no longer a wait. */
const LAST_NOTES_MS = 500

/** Somebody waits for a page: rather say that Revento's limit is used up than let them wait for it. */
const PAGE_PATIENCE_MS = 2_000

/** The one composition: everything is made here, once, and handed to who needs it. */
export async function createApp(config: Config, edge: AppEdge): Promise<FastifyInstance> {
  const { database, runtime, logger, outgoing, metrics = noMetrics } = edge
  const query = database.query
  const cookieOptions = { httpOnly: true, sameSite: 'lax', path: '/', secure: config.https } as const
  const cookies = { cookiePrefix: cookiePrefix(config) }

  const stopped = new AbortController()
  const clock = createSteadyClock(runtime, ms =>
    logger.warn({ part: 'clock', by_ms: ms }, 'the clock was set: nothing is removed by age for an hour'),
  )
  const keys = heldKeys(config, edge.sealer)
  const meter = createMeter({ query, keys, sealer: edge.sealer, clock, log: logger }, runtime)
  const { sealer } = meter
  const traces = createTraces()
  const tokenEndpoint = countRefreshes(createTokenEndpoint(config, outgoing.token, runtime), metrics)
  const connections = createConnections(query, sealer, runtime, {
    log: logger,
    platform: config.mode,
    requestedScopes: config.scopes,
  })
  const leases = createRefreshLeases(query, sealer, runtime, clock, config.mode)
  const refresh = createRefresh(
    { leases, tokenEndpoint, origin: config.origin, log: logger, stopping: stopped.signal },
    runtime,
  )
  const accessTokens = createAccessTokens(
    { connections, refresh, log: logger, lifted: () => dispatcher.resume() },
    runtime,
  )
  const apiClient = createApiClient(
    {
      apiBase: config.apiBase,
      dispatcher: outgoing.api,
      log: logger,
      count: metrics.apiRequest,
      budgets: createBudgets(query, config.mode),
      windows: WINDOWS,
    },
    runtime,
  )
  const api = (key: ConnectionKey, requestId: string) => {
    const trace = traces.of(requestId)
    const about = { request_id: requestId, ...(trace && { trace_id: trace.traceId }) }
    const patience = { patienceMs: PAGE_PATIENCE_MS, about, ...(trace && { traceparent: trace.traceparent }) }
    return apiClient.forEvent(key, (call, scope) => accessTokens.use(key, call, { scope }), patience)
  }
  const ownApi = (key: ConnectionKey) =>
    apiClient.forEvent(key, (call, scope) => accessTokens.use(key, call, { scope }), {
      patienceMs: PAGE_PATIENCE_MS,
      about: { reason: 'keep_alive' },
    })
  const flows = createFlows(query, sealer, runtime, clock, { ttlMs: config.stateTtlMs, ...cookies })
  const sessions = createSessions(query, runtime, clock, {
    ...cookies,
    cookie: cookieOptions,
    platform: config.mode,
  })
  const eventData = createEventData(query, runtime, config.mode)
  const owed = createOwed({ query, connections, log: logger }, runtime)

  const known = edge.handlers ?? handlers
  const own = { db: query as unknown as Db, settings: {}, services: {} }
  for (const slip of handlerSlips(known)) logger.warn({ part: 'handlers' }, slip)
  const describeError = createDescribeError(config.production)
  const dispatcher = createDispatcher(
    query,
    {
      concurrency: config.handlerConcurrency,
      platform: config.mode,
      hasHandler: (provider, type) =>
        (findOwed(owed, provider, type) ?? findQueuedHandler(known, provider, type)) !== undefined,
      run: createRunHandler({ handlers: known, own, apiClient, accessTokens, owed, eventData, log: logger }),
      parkedAt: ({ eventId }) => ({
        connect_url: eventId === null ? undefined : connectUrl(config.origin, eventId),
      }),
      count: metrics.attempt,
      isParking,
      describeError,
      log: logger,
      crashed: edge.crashed,
    },
    runtime,
  )
  const backlog = createBacklog(query, runtime)
  const committing = createInbox(database, backlog, () => dispatcher.arrived(), runtime)
  const inbox = metrics === noMetrics ? committing : timeCommits(committing, metrics, runtime)
  metrics.watchInbox({
    backlog: backlog.waiting,
    oldestSeconds: async () => (await oldestWaitMs(query, runtime.now())) / 1000,
  })
  metrics.watchKeys(meter.states)
  const inline = createInline(
    {
      answers: createInlineAnswers(query, clock, runtime),
      find: findInlineHandler({ handlers: known, own, log: logger }),
      describeError,
      log: logger,
    },
    runtime,
  )
  const handshake = config.verifyToken && {
    token: config.verifyToken,
    callers: createHandshakeCallers(query, clock),
    trustedProxies: config.trustProxy,
  }

  const app = createServer({ https: config.https, logger, runtime, errorPage })
  app.addHook('onRequest', traces.begin)
  let stopBy = Number.POSITIVE_INFINITY
  app.addHook('preClose', async () => {
    stopBy = runtime.monotonic() + STOP_MS
    stopped.abort()
  })
  // Added before any other, this one runs after all of them: the parts still use what it closes.
  app.addHook('onClose', async () => {
    const flushed = atMost(runtime, LAST_NOTES_MS, meter.flush())
    await atMost(runtime, Math.max(0, stopBy - runtime.monotonic()), accessTokens.settled())
    await outgoing.close()
    await flushed
    await database.close()
  })
  const handling = { stalledMs: dispatcher.stalledMs, waiting: backlog.waiting }
  const trouble = createProbe(database, inbox, handling, runtime)
  await app.register(health, { trouble, runtime })
  const ownHost = { origin: config.origin, production: config.production }
  await app.register(oauth, {
    ...ownHost,
    defaultEventId: config.defaultEventId,
    stateTtlMs: config.stateTtlMs,
    cookie: cookieOptions,
    flows,
    tokenEndpoint,
    connections,
    sessions,
    api,
    onwardPage,
    mayConnect: createConnectLimit(config.trustProxy, runtime),
    resume: dispatcher.resume,
  })
  await app.register(webhooks, {
    prefix: '/webhooks',
    secrets: config.providerSecrets,
    handshake,
    inbox,
    inline,
    platform: config.mode,
    bodyLimit: config.bodyLimit,
    explain: !config.production,
    stopHandlers: dispatcher.stop,
    metrics,
    noteUse: meter.noteUse,
    runtime,
  })
  await app.register(status, {
    ...ownHost,
    defaultEventId: config.defaultEventId,
    sandbox: config.mode === 'sandbox' ? { url: config.authBase } : undefined,
    requestedScopes: config.scopes.split(' '),
    sessions,
    connections,
    deliveries: createDeliveries(query),
    heard: eventData.participants,
    titles: createTitles(runtime),
    keyChanges: meter.changes,
    trouble,
    api,
    runtime,
  })
  // Once it listens: a start that fails on a used port must not have claimed anything.
  app.addHook('onListen', async () => {
    dispatcher.start()
    void backlog.watch(stopped.signal)
    if (database.kind === 'sqlite') void watchLog(query, runtime, stopped.signal)
    void meter.watch(stopped.signal)
    void edge.instance?.watch(logger, stopped.signal)
    void watchUnused({ connections, api: ownApi, log: logger }, runtime, stopped.signal)
    void watchEndings({ connections, log: logger, origin: config.origin }, runtime, stopped.signal)
    const { retentionDays: days, payloadDays } = config
    const aged = [flowRows(config.stateTtlMs), SESSION_ROWS, CALLER_ROWS, answerRows(days)]
    void watchRetention({ query, days, payloadDays, clock, aged, log: logger }, runtime, stopped.signal)
  })
  return app
}
