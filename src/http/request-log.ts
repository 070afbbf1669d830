import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify'

declare module 'fastify' {
  interface FastifyRequest {
    /** Further fields for the log line of this request: chosen ones, never a body. */
    outcome: Record<string, unknown> | undefined
  }
}

const QUIET = new Set(['/health', '/ready'])

/** Logs a line for each request after its answer. The path has no query, which may hold a code or a state. */
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

/** The trace of a request. `traceparent` is the header for requests to Revento that are made on its behalf. */
export interface Trace {
  readonly traceId: string
  readonly traceparent: string
}

interface Traces {
  /** Returns the trace of a request that is under way. */
  of(requestId: string): Trace | undefined
  readonly begin: onRequestHookHandler
}

/** Version, trace id, parent id, flags (W3C Trace Context, section 3.2); ids of zeros only are invalid. */
const FORM = /^([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
/** The flags for a sampled trace and a random trace id; the others may mean anything in a later version. */
const KNOWN_FLAGS = 0b11

/** Undefined for a malformed header, which is ignored. A later version is read as far as it is known. */
export function readTraceparent(header: unknown): Trace | undefined {
  const [, version, traceId, parentId, flags, more] =
    FORM.exec(typeof header === 'string' ? header : '') ?? []
  if (!traceId || version === 'ff' || (version === '00' && more !== undefined)) return undefined
  const known = (Number.parseInt(flags ?? '', 16) & KNOWN_FLAGS).toString(16).padStart(2, '0')
  return { traceId, traceparent: `00-${traceId}-${parentId}-${known}` }
}

/**
 * Puts `trace_id` into every log line of a request that came with a traceparent, and keeps the header for its requests to
 * Revento. The parent id stays as it came: this app records no spans, and an invented one would break the chain. Nothing
 * is stored of a trace: the line of a webhook's arrival has both `trace_id` and `delivery`, and the lines of its later run
 * have `delivery`.
 */
export function createTraces(): Traces {
  const traces = new Map<string, Trace>()
  return {
    of: requestId => traces.get(requestId),
    begin(request, reply, done) {
      const header = request.headers['traceparent']
      const trace = header && readTraceparent(header)
      if (trace) {
        traces.set(request.id, trace)
        request.log = request.log.child({ trace_id: trace.traceId })
        reply.raw.once('close', () => traces.delete(request.id))
      }
      done()
    },
  }
}
