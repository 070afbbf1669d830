import Fastify, { type FastifyInstance, LogController } from 'fastify'
import { REQUEST_ID_HEADER } from '../revento/platform.ts'
import { apiRoutes } from './api/api.route.ts'
import { answerProblems, sendProblem } from './api/problem.ts'
import { fileRoutes } from './console/page.ts'
import { consoleApi, consolePages, sendFailure } from './console/routes.ts'
import { type Context, createContext } from './context.ts'
import { authorizeRoutes } from './oauth/authorize.route.ts'
import { tokenRoute } from './oauth/token.route.ts'
import { refuseUnsafe, type SandboxOptions } from './options.ts'

export { type Explain, type SandboxOptions, SandboxRefused, type Sender, type Sent } from './options.ts'

export interface Sandbox {
  /** The origin without a trailing slash is the auth base; the API base is `${url}/api/v1`. */
  url: string
  close(): Promise<void>
}

/** A pretend Revento. The app speaks to it over HTTP exactly as it would to the real one. */
export async function startSandbox(options: SandboxOptions): Promise<Sandbox> {
  refuseUnsafe(options)
  const context = createContext(options)
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

/** Registers each part in a scope of its own, since they take different body types. */
async function mount(app: FastifyInstance, context: Context): Promise<void> {
  const part =
    (routes: (scope: FastifyInstance, context: Context) => Promise<void>) => (scope: FastifyInstance) =>
      routes(scope, context)
  fileRoutes(app)
  app.setNotFoundHandler((request, reply) => sendFailure(context, request, reply, 'not_found'))
  await app.register(part(authorizeRoutes))
  await app.register(part(tokenRoute))
  await app.register(part(consolePages))
  await app.register(part(apiRoutes), { prefix: '/api/v1' })
  await app.register(part(consoleApi), { prefix: '/console/api' })
}

function originOf(host: string, app: FastifyInstance): string {
  const [address] = app.addresses()
  const port = typeof address === 'object' ? address.port : ''
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

const UUID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i
const PATIENCE_MS = 10_000

/** The server without routes: its limits, its failures, and the headers of every answer. */
function createServer({ log, runtime }: SandboxOptions): FastifyInstance {
  const app: FastifyInstance = Fastify({
    loggerInstance: log.child({ part: 'sandbox' }),
    logController: new LogController({ disableRequestLogging: true }),
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    requestTimeout: PATIENCE_MS,
    http: { headersTimeout: PATIENCE_MS, requestTimeout: PATIENCE_MS, connectionsCheckingInterval: 1000 },
    // A UUID of the caller's becomes the request id, so that answers and error bodies echo it.
    genReqId: ({ headers }) => {
      const id = headers[REQUEST_ID_HEADER]
      return typeof id === 'string' && UUID.test(id) ? id : runtime.uuid()
    },
    frameworkErrors: (_err, _request, reply) => sendProblem(reply, 'invalid_request'),
    clientErrorHandler: (_err, socket) => socket.destroy(),
  })
  answerProblems(app)
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({
      [REQUEST_ID_HEADER]: request.id,
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
    })
  })
  return app
}
