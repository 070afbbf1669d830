import type { FastifyPluginAsync } from 'fastify'
import type { Runtime } from '../runtime.ts'
import type { Inbox } from './inbox.ts'
import type { Secrets } from './provider.ts'
import { revento } from './providers/revento.ts'
import { receiveRoute } from './receive.route.ts'

export interface WebhooksOptions {
  readonly secrets: Secrets
  readonly inbox: Inbox
  readonly bodyLimit: number
  readonly runtime: Runtime
}

/** Encapsulated, so that only these routes take raw bytes of any content type. */
export const webhooks: FastifyPluginAsync<WebhooksOptions> = async (app, o) => {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  receiveRoute(app, { provider: revento, ...o })
}
