import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { errorBody } from '../http/errors.ts'
import { VERIFY_TOKEN } from '../keys/known-keys.ts'
import type { Meter } from '../keys/meter.ts'
import { countDeliveries } from '../metrics/counted.ts'
import type { Metrics } from '../metrics/metrics.ts'
import type { Runtime } from '../process/runtime.ts'
import type { Platform } from '../storage/schema.ts'
import { type HandshakeOptions, handshakeRoutes } from './handshake/handshake.route.ts'
import type { Inbox } from './inbox/inbox.ts'
import type { Inline } from './inline/inline.ts'
import { createOverload } from './overload.ts'
import { providers } from './providers/index.ts'
import { receiveRoute } from './receive.route.ts'
import type { Secrets } from './verify/provider.ts'

export interface WebhooksOptions {
  /** By provider: one without a secret has no route. */
  readonly secrets: Readonly<Record<string, Secrets>>
  readonly handshake:
    | Omit<HandshakeOptions, 'inbox' | 'platform' | 'bodyLimit' | 'counted' | 'noteUse' | 'runtime'>
    | undefined
  readonly inbox: Inbox
  readonly inline: Inline
  readonly platform: Platform
  readonly bodyLimit: number
  /** Whether the log may say why a signature did not match. */
  readonly explain: boolean
  /** Tells handlers of stored deliveries to end. */
  readonly stopHandlers: (graceMs: number) => Promise<void>
  readonly metrics: Metrics
  readonly noteUse: Meter['noteUse']
  readonly runtime: Runtime
}

/** Handlers get this long to end when the process stops; what does not is given back, and runs again later. */
const GRACE_MS = 3_000

/** Encapsulated, so that only these routes take raw bytes of any content type. */
export const webhooks: FastifyPluginAsync<WebhooksOptions> = async (app, o) => {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  const overload = createOverload(o.runtime)
  app.addHook('onRequest', (request, reply, done) => {
    if (overload.isOver()) shed(request, reply)
    else done()
  })
  const inbox = overload.watched(o.inbox)
  for (const provider of providers) {
    const counted = countDeliveries(o.metrics, provider.name)
    const noteUse = o.noteUse(provider.secret.variable)
    if (o.secrets[provider.name])
      receiveRoute(app, { ...o, inbox, provider, counted, noteUse, answerInline: o.inline.answer })
  }
  const counted = countDeliveries(o.metrics, 'handshake')
  if (o.handshake)
    handshakeRoutes(app, { ...o, ...o.handshake, inbox, counted, noteUse: o.noteUse(VERIFY_TOKEN) })
  // Beside the drain, not before it: the sockets stay open for the answers.
  let stopped: Promise<unknown> | undefined
  app.addHook('preClose', async () => {
    stopped = Promise.all([o.inline.stop(GRACE_MS), o.stopHandlers(GRACE_MS)])
  })
  app.addHook('onClose', async () => {
    await stopped
  })
}

/** Answered here, with no error made and no stack taken: refusing has to cost less than serving. */
function shed(request: FastifyRequest, reply: FastifyReply): void {
  request.outcome = { error: 'overloaded' }
  reply.code(503).header('retry-after', '2').header('cache-control', 'no-store')
  reply.send(errorBody('overloaded', request.id))
}
