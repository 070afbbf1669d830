import Fastify, { type FastifyInstance, LogController } from 'fastify'
import { REQUEST_ID_HEADER } from '../revento/platform.ts'
import { answerProblems, sendProblem } from './api/problem.ts'
import type { SandboxOptions } from './options.ts'

const UUID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i
const PATIENCE_MS = 10_000

/** The bare server: limits, failures, and the headers that every answer carries. */
export function createServer({ log, runtime }: SandboxOptions): FastifyInstance {
  const app: FastifyInstance = Fastify({
    loggerInstance: log.child({ part: 'sandbox' }),
    logController: new LogController({ disableRequestLogging: true }),
    exposeHeadRoutes: false,
    forceCloseConnections: true,
    requestTimeout: PATIENCE_MS,
    http: { headersTimeout: PATIENCE_MS, requestTimeout: PATIENCE_MS, connectionsCheckingInterval: 1000 },
    // The caller's id where it is one, so that answers and error bodies echo it.
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
