import Fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  LogController,
} from 'fastify'
import type { Runtime } from '../process/runtime.ts'
import { answerUnrouted, type ErrorAnswers, handleErrors } from './error-answers.ts'
import { pageHeaders } from './html.ts'
import { createRefusals, refuseAmbiguous } from './refused-requests.ts'
import { createTraces, logRequests, type Trace } from './request-log.ts'

export interface ServerOptions extends ErrorAnswers {
  readonly logger: FastifyBaseLogger
  readonly runtime: Runtime
}

/** A whole request, headers and body, has to arrive within this time, so that a dripping client loses its socket. */
const ARRIVAL_MS = 10_000

/**
 * A socket takes about 10 KB. When this many senders send at once, all are answered within seconds, even on a busy
 * machine; twice as many took longer than a sender waits. A further connection is closed at once, which costs nothing.
 * One address may use all of them: to limit that is the proxy's part.
 */
const SOCKETS = 5_000

export interface Server {
  readonly app: FastifyInstance
  /** Returns the trace of a request that is under way. */
  readonly traceOf: (requestId: string) => Trace | undefined
}

/** Makes Fastify with bounds, one log line a request, and errors that show only a code of the table. */
export function createServer(o: ServerOptions): Server {
  const refusals = createRefusals(o)
  const app = Fastify({
    loggerInstance: o.logger,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: () => o.runtime.uuid(),
    requestIdHeader: false,
    exposeHeadRoutes: false,
    requestTimeout: ARRIVAL_MS,
    http: {
      headersTimeout: ARRIVAL_MS,
      requestTimeout: ARRIVAL_MS,
      connectionsCheckingInterval: 1_000,
      // Node would answer with an empty 400; refuseAmbiguous answers in our shape.
      requireHostHeader: false,
    },
    keepAliveTimeout: 65_000,
    return503OnClosing: false,
    clientErrorHandler: refusals.onClientError,
    frameworkErrors: (error, request, reply: FastifyReply) => answerUnrouted(error, request, reply, o),
  })
  app.server.maxConnections = SOCKETS
  refusals.watch(app.server)
  logRequests(app)
  finishAnswers(app, o.https)
  refuseAmbiguous(app)
  handleErrors(app, o)
  const traces = createTraces()
  app.addHook('onRequest', traces.begin)
  return { app, traceOf: traces.of }
}

/**
 * Adds headers to every answer: a browser must not guess types, a page loads nothing from other hosts, and a connection
 * that is busy when closing begins ends with its answer.
 */
function finishAnswers(app: FastifyInstance, https: boolean): void {
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
  })
  const page = pageHeaders(https)
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('x-content-type-options', 'nosniff')
    done()
  })
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (closing) reply.header('connection', 'close')
    const type = reply.getHeader('content-type')
    if (typeof type === 'string' && type.startsWith('text/html')) reply.headers(page)
    done()
  })
}
