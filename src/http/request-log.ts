import type { FastifyInstance, FastifyRequest, onRequestHookHandler } from 'fastify'

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

/** The trace that a request belongs to. `traceparent` is what a call made on its behalf carries on. */
export interface Trace {
  readonly traceId: string
  readonly traceparent: string
}

interface Traces {
  /** While the request is under way. */
  of(requestId: string): Trace | undefined
  readonly begin: onRequestHookHandler
}

/** Version, trace id, parent id, flags (W3C Trace Context, section 3.2); ids of zeros only are invalid. */
const FORM = /^([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
/** Sampled, and that the trace id is random; the others may mean anything in a later version. */
const KNOWN_FLAGS = 0b11

/** Undefined where it is malformed: it is then ignored. A later version is read as far as it is known. */
export function readTraceparent(header: unknown): Trace | undefined {
  const [, version, traceId, parentId, flags, more] =
    FORM.exec(typeof header === 'string' ? header : '') ?? []
  if (!traceId || version === 'ff' || (version === '00' && more !== undefined)) return undefined
  const known = (Number.parseInt(flags ?? '', 16) & KNOWN_FLAGS).toString(16).padStart(2, '0')
  return { traceId, traceparent: `00-${traceId}-${parentId}-${known}` }
}

/**
 * `trace_id` in every log line of a request that came with a traceparent, and the header for what it asks of Revento.
 * The parent id goes on as it came: this app records no spans, and a made-up one would break the chain. A webhook's
 * handler runs later, in no request: the line of its arrival has both `trace_id` and `delivery`, and its own lines the
 * latter, so nothing of it is stored.
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
