import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { UnsealError } from '../keys/sealing.ts'
import { StorageError } from '../process/errors.ts'
import { AppError, type ErrorBody, type ErrorCode, errorBody } from './errors.ts'
import { pageHeaders } from './html.ts'
import { prefersHtml } from './parameters.ts'
import { pathOf } from './request-log.ts'

export interface ErrorAnswers {
  readonly https: boolean
  /** Renders the page for a browser. `about` is what is known of the request: its event, and whose flow it was of. */
  readonly errorPage: (error: ErrorBody, status: number, about: FastifyRequest['outcome']) => string
}

/** Turns every failure into a code of the table; the reason goes to the log only. */
export function handleErrors(app: FastifyInstance, o: ErrorAnswers): void {
  app.setErrorHandler((error, request, reply) => {
    const code = codeOf(error)
    const known = error instanceof AppError ? error : undefined
    const status = known?.status ?? statusOf(code)
    request.outcome = { ...request.outcome, error: code, ...(known?.reason ? { reason: known.reason } : {}) }
    if (status === 500 || status === 503) request.log.error({ err: error }, 'request failed')
    if (status === 503) reply.header('retry-after', known?.retryAfterS ?? 2)
    if (status === 429) reply.header('retry-after', '60')
    return sendError(request, reply, o, errorBody(code, request.id, known?.connectUrl), status)
  })
  // The path is looked up as text: `hasRoute` would read it as a pattern.
  const methods = new Map<string, string[]>()
  app.addHook('onRoute', ({ url, method }) => {
    methods.set(url, [...(methods.get(url) ?? []), method].flat())
  })
  app.setNotFoundHandler((request, reply) => {
    const allowed = methods.get(request.url.split('?', 1)[0] ?? '')
    if (!allowed) throw new AppError('not_found')
    reply.header('allow', allowed.join(', '))
    throw new AppError('method_not_allowed')
  })
}

function sendError(
  request: FastifyRequest,
  reply: FastifyReply,
  o: ErrorAnswers,
  body: ErrorBody,
  status: number,
): FastifyReply {
  reply.code(status).header('cache-control', 'no-store')
  return prefersHtml(request)
    ? reply.type('text/html; charset=utf-8').send(o.errorPage(body, status, request.outcome))
    : reply.send(body)
}

/** Answers a URL that cannot be read: it reaches no route and no hook, so what they add is added here. */
export function answerUnrouted(
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
  o: ErrorAnswers,
): void {
  const code = codeOf(error)
  const status = statusOf(code)
  request.log.warn({ method: request.method, path: pathOf(request), status, error: code }, 'request')
  reply.header('x-content-type-options', 'nosniff')
  if (prefersHtml(request)) reply.headers(pageHeaders(o.https))
  void sendError(request, reply, o, errorBody(code, request.id), status)
}

/** The code for an error of ours, of the store or of Fastify; any other error is a 500 without details. */
function codeOf(error: unknown): ErrorCode {
  if (error instanceof AppError) return error.code
  if (error instanceof StorageError || error instanceof UnsealError) return 'storage_unavailable'
  const { statusCode } = error as Partial<FastifyError>
  if (statusCode === 413) return 'payload_too_large'
  if (statusCode === 415) return 'unsupported_media_type'
  return statusCode !== undefined && statusCode >= 400 && statusCode < 500 ? 'bad_request' : 'internal_error'
}

const statusOf = (code: ErrorCode) => new AppError(code).status
