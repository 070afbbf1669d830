import type { FastifyInstance, FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import {
  beginSpan,
  linkTo,
  refuseSpan,
  type Span,
  traceId,
  traceparentOf,
  within,
} from '../process/tracing.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Further fields for the log line of this request: chosen ones, never a body. */
    outcome: Record<string, unknown> | undefined
    /** Undefined where nobody records traces. */
    span: Span | undefined
  }
}

const QUIET = new Set(['/health', '/ready'])

/** Logs a line for each request after its answer. The path has no query, which may hold a code or a state. */
export function logRequests(app: FastifyInstance): void {
  app.decorateRequest('outcome', undefined)
  app.decorateRequest('span', undefined)
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
  /** Undefined where it is known that nobody records it. */
  readonly traceId: string | undefined
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
 * Begins the span of a request where spans are recorded. The trace that the caller names is linked and not continued:
 * anybody may name one, and would decide what is sampled. Without spans the header is passed to Revento as it came, since
 * an invented parent would break the chain. Every log line of the request has `trace_id`.
 */
export function createTraces(): Traces {
  const traces = new Map<string, Trace>()
  return {
    of: requestId => traces.get(requestId),
    begin(request, reply, done) {
      const header = request.headers['traceparent']
      const theirs = header ? readTraceparent(header) : undefined
      const span = beginRequest(request, theirs)
      const id = span && traceId(span)
      const trace = span ? { traceId: id, traceparent: traceparentOf(span) } : theirs
      if (trace) {
        traces.set(request.id, trace)
        if (trace.traceId) request.log = request.log.child({ trace_id: trace.traceId })
        reply.raw.once('close', () => {
          traces.delete(request.id)
          if (span) endRequest(span, request, reply)
        })
      }
      request.span = span
      // The span stays the active one while Fastify reads the body, too.
      within(span, done)
    },
  }
}

function beginRequest(request: FastifyRequest, theirs: Trace | undefined): Span | undefined {
  const route = request.routeOptions.url
  if (route !== undefined && QUIET.has(route)) return undefined
  const links = theirs ? [linkTo(theirs.traceparent)] : []
  return beginSpan(`${request.method} ${route ?? 'unknown path'}`, { kind: 'server', links })
}

/** The query may hold a code or a state, so it stands in no attribute. */
function endRequest(span: Span, request: FastifyRequest, { raw }: FastifyReply): void {
  const { outcome, routeOptions } = request
  span.setAttributes({
    'http.request.method': request.method,
    'http.route': routeOptions.url,
    'url.path': pathOf(request),
    'http.response.status_code': raw.headersSent ? raw.statusCode : undefined,
    'messaging.message.id': idOf(outcome?.['delivery']),
    'revento.event_id': idOf(outcome?.['event_id']),
    'revento.request_id': request.id,
  })
  if (raw.statusCode >= 500 || !raw.headersSent) refuseSpan(span, idOf(outcome?.['error']) ?? 'no_answer')
  span.end()
}

const idOf = (id: unknown) => (typeof id === 'string' || typeof id === 'number' ? String(id) : undefined)
