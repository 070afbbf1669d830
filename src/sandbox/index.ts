import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { apiRoutes } from './api/api.route.ts'
import { createClock } from './clock.ts'
import { consoleApi } from './console/api.ts'
import { styleRoute } from './console/page.ts'
import { consolePages, sendFailure } from './console/pages.ts'
import type { Context } from './context.ts'
import { createFaults } from './faults/faults.ts'
import { authorizeRoutes } from './oauth/authorize.route.ts'
import { tokenRoute } from './oauth/token.route.ts'
import { createTokenRequests } from './oauth/token-requests.ts'
import { refuseUnsafe, type SandboxOptions } from './options.ts'
import { createServer } from './server.ts'
import { loadState, saveState } from './state-file.ts'
import { createDeliveries } from './webhooks/deliveries.ts'

export { type SandboxOptions, SandboxRefused, type Sender } from './options.ts'
export type { Explain, Sent } from './webhooks/autopsy.ts'

export interface Sandbox {
  /** Origin without a trailing slash: the auth base; the API base is `${url}/api/v1`. */
  url: string
  close(): Promise<void>
}

/** A pretend Revento. The app speaks to it over HTTP exactly as it would to the real one. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  refuseUnsafe(options)
  const context = compose(options)
  const app = createServer(options)
  await mount(app, context)
  await app.listen({ host: options.host, port: options.port })
  return {
    url: originOf(options.host, app),
    async close() {
      await Promise.all([context.deliveries.stop(), app.close()])
    },
  }
}

function compose(options: SandboxOptions): Context {
  const { stateFile, log, runtime } = options
  const state = loadState(stateFile, log)
  const save = () => saveState(stateFile, state, log)
  const [clock, faults] = [createClock(state, runtime), createFaults(runtime, log)]
  const deliveries = createDeliveries({ options, state, faults, save })
  return { options, state, save, clock, faults, deliveries, tokenRequests: createTokenRequests() }
}

/** Each part in its own scope: they take different body types. */
async function mount(app: FastifyInstance, context: Context): Promise<void> {
  const part =
    (routes: (scope: FastifyInstance, context: Context) => Promise<void>): FastifyPluginAsync =>
    scope =>
      routes(scope, context)
  const parts = { authorize: part(authorizeRoutes), token: part(tokenRoute), pages: part(consolePages) }
  const apis = { revento: part(apiRoutes), console: part(consoleApi) }
  styleRoute(app)
  app.setNotFoundHandler((request, reply) => sendFailure(context, request, reply, 'not_found'))
  await app.register(parts.authorize)
  await app.register(parts.token)
  await app.register(parts.pages)
  await app.register(apis.revento, { prefix: '/api/v1' })
  await app.register(apis.console, { prefix: '/console/api' })
}

function originOf(host: string, app: FastifyInstance): string {
  const [address] = app.addresses()
  const port = typeof address === 'object' ? address.port : ''
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
