import type { Socket } from 'node:net'
import Fastify, {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import { AppError, type ErrorBody, type ErrorCode, errorBody } from './errors.ts'
import { prefersHtml } from './parameters.ts'
import { logRequests, pathOf } from './request-log.ts'
import type { Runtime } from './runtime.ts'
import { StorageError } from './storage/storage-error.ts'

export interface ServerOptions {
  readonly logger: FastifyBaseLogger
  readonly runtime: Runtime
  readonly https: boolean
  /** The page for a person, where a browser asked. */
  readonly errorPage: (error: ErrorBody, status: number) => string
}

/** A whole request, headers and body, has this long to arrive: a dripping client cannot hold its socket. */
const ARRIVAL_MS = 10_000

/** Fastify with bounds, one log line a request, and errors that say nothing but a code of the table. */
export function createServer(o: ServerOptions): FastifyInstance {
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
      // Node would answer with an empty 400; the check below answers in our shape.
      requireHostHeader: false,
    },
    keepAliveTimeout: 65_000,
    return503OnClosing: false,
    clientErrorHandler: (error, socket) => answerClientError(error, socket, o.runtime),
    frameworkErrors: (error, request, reply: FastifyReply) => answerUnrouted(error, request, reply, o),
  })
  logRequests(app)
  checkHost(app)
  handleErrors(app, o)
  finishAnswers(app, o.https)
  return app
}

function handleErrors(app: FastifyInstance, o: ServerOptions): void {
  app.setErrorHandler((error, request, reply) => {
    const code = codeOf(error)
    const status = statusOf(code)
    const known = error instanceof AppError ? error : undefined
    request.outcome = { ...request.outcome, error: code, ...(known?.reason ? { reason: known.reason } : {}) }
    if (status === 500 || status === 503) request.log.error({ err: error }, 'request failed')
    if (status === 503) reply.header('retry-after', '2')
    return sendError(request, reply, o, errorBody(code, request.id, known?.connectUrl), status)
  })
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? ''
    const allowed = ['GET', 'POST'].filter(method => app.hasRoute({ method, url: path }))
    if (allowed.length === 0) throw new AppError('not_found')
    reply.header('allow', allowed.join(', '))
    throw new AppError('method_not_allowed')
  })
}

function sendError(
  request: FastifyRequest,
  reply: FastifyReply,
  o: ServerOptions,
  body: ErrorBody,
  status: number,
): FastifyReply {
  reply.code(status).header('cache-control', 'no-store')
  return prefersHtml(request)
    ? reply.type('text/html; charset=utf-8').send(o.errorPage(body, status))
    : reply.send(body)
}

/** A URL that cannot be read reaches no route and no hook: what they add is added here. */
function answerUnrouted(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  o: ServerOptions,
): void {
  const code = codeOf(error)
  const status = statusOf(code)
  request.log.warn({ method: request.method, path: pathOf(request), status, error: code }, 'request')
  reply.header('x-content-type-options', 'nosniff')
  if (prefersHtml(request)) reply.headers(pageHeaders(o.https))
  void sendError(request, reply, o, errorBody(code, request.id), status)
}

/** What Node answers by itself with no body: a request without Host, and an expectation, which may be ignored. */
function checkHost(app: FastifyInstance): void {
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  app.addHook('onRequest', (request, _reply, done) => {
    const missing = request.raw.httpVersion === '1.1' && request.headers.host === undefined
    done(missing ? new AppError('bad_request', { reason: 'no_host' }) : undefined)
  })
}

/** Errors of our own, of the store, of Fastify; whatever else is a 500 that tells nothing. */
function codeOf(error: unknown): ErrorCode {
  if (error instanceof AppError) return error.code
  if (error instanceof StorageError) return 'storage_unavailable'
  const { statusCode } = error as Partial<FastifyError>
  if (statusCode === 413) return 'payload_too_large'
  if (statusCode === 415) return 'unsupported_media_type'
  return statusCode !== undefined && statusCode >= 400 && statusCode < 500 ? 'bad_request' : 'internal_error'
}

const statusOf = (code: ErrorCode) => new AppError(code).status

const CLIENT_ERRORS: Record<string, ErrorCode> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_HEADER_OVERFLOW: 'headers_too_large',
}

/** What the HTTP parser refused never becomes a request: answered here, by hand, in the same shape. */
function answerClientError(error: Error & { code?: string }, socket: Socket, runtime: Runtime): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const code = CLIENT_ERRORS[error.code ?? ''] ?? 'bad_request'
  const body = JSON.stringify(errorBody(code, runtime.uuid()))
  socket.end(
    [
      `HTTP/1.1 ${statusOf(code)} ${code}`,
      'Content-Type: application/json; charset=utf-8',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Cache-Control: no-store',
      'Connection: close',
      '',
      body,
    ].join('\r\n'),
  )
}

/**
 * Headers of every answer: a browser guesses no type, a page loads nothing of others, and a kept connection that is
 * busy when closing begins does not stay open after its answer.
 */
function finishAnswers(app: FastifyInstance, https: boolean): void {
  let closing = false
  app.addHook('preClose', async () => {
    closing = true
  })
  const page = pageHeaders(https)
  app.addHook('onSend', (_request, reply, payload, done) => {
    reply.header('x-content-type-options', 'nosniff')
    if (closing) reply.header('connection', 'close')
    if (String(reply.getHeader('content-type')).startsWith('text/html')) reply.headers(page)
    done(null, payload)
  })
}

/** helmet's defaults allow inline styles and send HSTS over http: these are few enough to state. */
export function pageHeaders(https: boolean): Record<string, string> {
  return {
    'content-security-policy':
      "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
      "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    'referrer-policy': 'no-referrer',
    'cross-origin-opener-policy': 'same-origin',
    'permissions-policy': 'camera=(), geolocation=(), microphone=(), payment=()',
    'cache-control': 'no-store',
    ...(https ? { 'strict-transport-security': 'max-age=31536000' } : {}),
  }
}
