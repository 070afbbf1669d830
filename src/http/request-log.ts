import type { FastifyInstance, FastifyRequest } from 'fastify'

declare module 'fastify' {
  interface FastifyRequest {
    /** What the one log line of this request says beside method, path and status. Chosen fields, never a body. */
    outcome: Record<string, unknown> | undefined
  }
}

const QUIET = new Set(['/health', '/ready'])

/** One line a request, after its answer. The path goes without its query, which may hold a code or a state. */
export function logRequests(app: FastifyInstance): void {
  app.decorateRequest('outcome', undefined)
  app.addHook('onResponse', (request, reply, done) => {
    const fields = {
      method: request.method,
      path: pathOf(request),
      status: reply.statusCode,
      ms: Math.round(reply.elapsedTime * 10) / 10,
      ...request.outcome,
    }
    if (reply.statusCode >= 500) request.log.error(fields, 'request')
    else if (reply.statusCode >= 400) request.log.warn(fields, 'request')
    else if (QUIET.has(fields.path)) request.log.debug(fields, 'request')
    else request.log.info(fields, 'request')
    done()
  })
}

export const pathOf = (request: FastifyRequest) => (request.url.split('?', 1)[0] ?? '').slice(0, 200)
