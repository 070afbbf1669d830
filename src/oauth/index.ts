import cookie, { type CookieSerializeOptions } from '@fastify/cookie'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { EventApi } from '../revento/api.ts'
import type { TokenEndpoint } from '../revento/token-endpoint.ts'
import { callbackRoute } from './callback.route.ts'
import { connectRoute } from './connect.route.ts'
import type { ConnectionKey, Connections } from './connections.ts'
import type { Flows } from './flows.ts'
import type { Sessions } from './sessions.ts'

export interface OAuthOptions {
  readonly origin: string
  readonly production: boolean
  readonly defaultEventId: string | undefined
  readonly stateTtlMs: number
  readonly cookie: CookieSerializeOptions
  readonly flows: Flows
  readonly tokenEndpoint: TokenEndpoint
  readonly connections: Connections
  readonly sessions: Sessions
  readonly api: (key: ConnectionKey, requestId: string) => EventApi
  /** The page that leads on to `url`. */
  readonly onwardPage: (url: string) => string
  /** Whether this caller may start one more flow. */
  readonly mayConnect: (request: FastifyRequest) => boolean
  /** A connection was made: parked deliveries may go on. */
  readonly resume: (key: ConnectionKey) => void
}

export const oauth: FastifyPluginAsync<OAuthOptions> = async (app, o) => {
  await app.register(cookie)
  connectRoute(app, o)
  callbackRoute(app, o)
}
