import type { FastifyPluginAsync } from 'fastify'
import type { Runtime } from '../runtime.ts'
import { type HandshakeOptions, handshakeRoutes } from './handshake.route.ts'
import type { Inbox } from './inbox.ts'
import type { Inline } from './inline.ts'
import type { Secrets } from './provider.ts'
import { providers } from './providers/index.ts'
import { receiveRoute } from './receive.route.ts'

export interface WebhooksOptions {
  /** By provider: one without a secret has no route. */
  readonly secrets: Readonly<Record<string, Secrets>>
  readonly handshake: Omit<HandshakeOptions, 'inbox' | 'bodyLimit' | 'runtime'> | undefined
  readonly inbox: Inbox
  readonly inline: Inline
  readonly bodyLimit: number
  /** Whether the log may say why a signature did not match. */
  readonly explain: boolean
  readonly runtime: Runtime
}

/** Handlers that a sender waits for get this long when the process stops. */
const GRACE_MS = 3_000

/** Encapsulated, so that only these routes take raw bytes of any content type. */
export const webhooks: FastifyPluginAsync<WebhooksOptions> = async (app, o) => {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  for (const provider of providers)
    if (o.secrets[provider.name]) receiveRoute(app, { ...o, provider, answerInline: o.inline.answer })
  if (o.handshake) handshakeRoutes(app, { ...o, ...o.handshake })
  // Beside the drain, not before it: the sockets stay open for the answers.
  let stopped: Promise<void> | undefined
  app.addHook('preClose', async () => {
    stopped = o.inline.stop(GRACE_MS)
  })
  app.addHook('onClose', async () => {
    await stopped
  })
}
