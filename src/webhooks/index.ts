import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Handlers, Own } from '../builder/context.ts'
import { createOwnErasing, type Erase } from '../builder/erase.ts'
import { errorBody } from '../http/errors.ts'
import { VERIFY_TOKEN } from '../keys/known-keys.ts' // part: senders
import type { NoteUse } from '../keys/meter.ts'
import { countDeliveries, type Metrics, noMetrics, timeCommits } from '../metrics/metrics.ts'
import { isParking } from '../oauth/access-token.ts'
import { connectUrl } from '../oauth/connect.route.ts'
import type { OAuth } from '../oauth/index.ts'
import { createDescribeError } from '../process/errors.ts'
import type { Runtime } from '../process/runtime.ts'
import type { SteadyClock } from '../process/trusted-time.ts'
import type { ApiClient } from '../revento/api.ts'
import type { Observe } from '../revento/drift.ts'
import type { AgedRows } from '../storage/aged-rows.ts'
import type { Database } from '../storage/database.ts'
import { createEventData } from '../storage/event-data.ts'
import type { Platform } from '../storage/schema.ts'
import { watchLog } from '../storage/sqlite/log.ts'
import { createDispatcher, type Dispatcher } from './dispatch/dispatcher.ts'
import { handlerSlips } from './dispatch/handler-slips.ts'
import { createOwed } from './dispatch/owed.ts'
import { createRunHandler, findInlineHandler, findOwed, findQueuedHandler } from './dispatch/run-handler.ts'
import { CALLER_ROWS, createHandshakeCallers } from './handshake/callers.ts' // part: senders
import { handshakeRoutes } from './handshake/handshake.route.ts' // part: senders
import { createBacklog, oldestWaitMs } from './inbox/backlog.ts'
import { createDeliveries, type Deliveries } from './inbox/deliveries.ts'
import { createInbox, type Inbox } from './inbox/inbox.ts'
import { watchRetention } from './inbox/retention.ts'
import { answerRows, createInlineAnswers } from './inline/answers.ts'
import { createInline } from './inline/inline.ts'
import { createOverload } from './overload.ts'
import { providers } from './providers/index.ts'
import { receiveRoute } from './receive.route.ts'
import { createRunSpans } from './spans.ts'
import type { Secrets } from './verify/provider.ts'

export interface WebhooksSettings {
  readonly mode: Platform
  readonly production: boolean
  readonly origin: string
  /** The secrets by provider. A provider without one has no route. */
  readonly providerSecrets: Readonly<Record<string, Secrets>>
  readonly verifyToken?: Secrets | undefined // part: senders
  readonly trustProxy: readonly string[]
  readonly bodyLimit: number
  readonly handlerConcurrency: number
  readonly retentionDays: number
  readonly payloadDays: number
}

export interface WebhooksParts {
  readonly database: Database
  readonly clock: SteadyClock
  readonly oauth: Pick<OAuth, 'connections' | 'accessTokens'>
  readonly apiClient: ApiClient
  readonly handlers: Handlers
  /** The builder's settings and services, which handlers get. */
  readonly own: Omit<Own, 'db'>
  readonly erase: Erase
  readonly metrics: Metrics
  /** Notes which of a variable's two secrets was used. */
  readonly noteUse: (variable: string) => NoteUse
  /** Called with Revento's webhooks that are refused though rightly signed. */
  readonly observe: Observe
  readonly log: FastifyInstance['log']
  /** Fires when the app is closed because of an error that nobody caught. */
  readonly crashed: AbortSignal | undefined
}

export interface Webhooks {
  /** Everything below /webhooks. */
  readonly routes: FastifyPluginAsync
  readonly inbox: Inbox
  readonly deliveries: Deliveries
  /** How long nothing could be claimed, in ms, and how many deliveries wait. */
  readonly handling: { stalledMs(): number; waiting(): number }
  readonly resume: Dispatcher['resume']
  /** Starts to claim and handle deliveries, and to remove old rows: those of `aged` are other rooms'. */
  start(aged: readonly AgedRows[], signal: AbortSignal): void
}

/** Handlers get this long to end when the process stops. Other runs are given back, and their deliveries run again later. */
const GRACE_MS = 3_000

/** The way of a webhook: verified, stored, answered, handed to its handler. */
export function createWebhooks(config: WebhooksSettings, parts: WebhooksParts, runtime: Runtime): Webhooks {
  const { database, clock, oauth, apiClient, handlers, own, metrics, log } = parts
  const { query } = database
  const platform = config.mode
  const eventData = createEventData(query, runtime, platform)
  const erasing = createOwnErasing({ query, platform, erase: parts.erase, own, log }, runtime)
  const { connections } = oauth
  const owed = createOwed({ query, connections, eventData, erasing, log }, runtime)
  for (const slip of handlerSlips(handlers)) log.warn({ part: 'handlers' }, slip)
  const describeError = createDescribeError(config.production)
  const running = { handlers, query, own, apiClient, accessTokens: oauth.accessTokens, owed, log }
  const spans = createRunSpans()
  const dispatcher = createDispatcher(
    query,
    {
      concurrency: config.handlerConcurrency,
      platform,
      hasHandler: (provider, type) =>
        (findOwed(owed, provider, type) ?? findQueuedHandler(handlers, provider, type)) !== undefined,
      run: createRunHandler(running, runtime),
      beginSpan: spans.begin,
      parkedAt: ({ eventId }) => ({
        connect_url: eventId === null ? undefined : connectUrl(config.origin, eventId),
      }),
      count: metrics.run,
      resolved: metrics.resolved,
      isParking,
      describeError,
      log,
      crashed: parts.crashed,
    },
    runtime,
  )
  const backlog = createBacklog(query, runtime)
  const committing = createInbox(database, backlog, () => dispatcher.arrived(), runtime)
  const inbox = spans.commits(
    metrics.committed === noMetrics.committed ? committing : timeCommits(committing, metrics, runtime),
  )
  metrics.watchInbox({
    backlog: backlog.waiting,
    oldestSeconds: async () => (await oldestWaitMs(query, runtime.now())) / 1000,
  })
  const inline = createInline(
    {
      answers: createInlineAnswers(query, clock, runtime),
      find: findInlineHandler({ handlers, query, own, log }),
      describeError,
      log,
    },
    runtime,
  )

  return {
    inbox,
    deliveries: createDeliveries(query),
    handling: { stalledMs: dispatcher.stalledMs, waiting: backlog.waiting },
    resume: dispatcher.resume,
    start(aged, signal) {
      dispatcher.start()
      void backlog.watch(signal)
      void erasing.watch(signal)
      if (database.kind === 'sqlite') void watchLog(query, runtime, signal)
      const { retentionDays: days, payloadDays } = config
      const all = [...aged, answerRows(days)]
      all.push(CALLER_ROWS) // part: senders
      void watchRetention({ query, days, payloadDays, clock, aged: all, log }, runtime, signal)
    },
    /** Encapsulated, so that only these routes take raw bytes of any content type. */
    async routes(app) {
      app.removeAllContentTypeParsers()
      app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
      const isOver = createOverload(inbox, runtime)
      app.addHook('onRequest', (request, reply, done) => {
        if (isOver()) shed(request, reply)
        else done()
      })
      const taking = { inbox, platform, bodyLimit: config.bodyLimit, runtime }
      const countedAs = (name: string) => countDeliveries(metrics, name)
      const { providerSecrets: secrets } = config
      for (const provider of providers)
        if (secrets[provider.name])
          receiveRoute(app, {
            ...{ ...taking, provider, secrets, explain: !config.production, answerInline: inline.answer },
            counted: countedAs(provider.name),
            observe: provider.name === 'revento' ? parts.observe : undefined,
            noteUse: parts.noteUse(provider.secret.variable),
          })
      // part: senders {
      const { verifyToken } = config
      if (verifyToken)
        handshakeRoutes(app, {
          ...{ ...taking, token: verifyToken, trustedProxies: config.trustProxy },
          callers: createHandshakeCallers(query, clock),
          counted: countedAs('handshake'),
          noteUse: parts.noteUse(VERIFY_TOKEN),
        })
      // part: senders }
      // Handlers stop during the drain, not before it: the sockets stay open for the answers.
      let stopped: Promise<unknown> | undefined
      app.addHook('preClose', async () => {
        stopped = Promise.all([inline.stop(GRACE_MS), dispatcher.stop(GRACE_MS)])
      })
      app.addHook('onClose', async () => {
        await stopped
      })
    },
  }
}

/** Answers without an error and its stack: refusing has to cost less than serving. */
function shed(request: FastifyRequest, reply: FastifyReply): void {
  request.outcome = { error: 'overloaded' }
  reply.code(503).header('retry-after', '2').header('cache-control', 'no-store')
  reply.send(errorBody('overloaded', request.id))
}
