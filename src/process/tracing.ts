import {
  context,
  isSpanContextValid,
  type Link,
  ProxyTracerProvider,
  type Span,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { classOf } from './disclosure.ts'
import { createDescribeError } from './errors.ts'

export type { Span } from '@opentelemetry/api'

const KINDS = { server: SpanKind.SERVER, client: SpanKind.CLIENT, consumer: SpanKind.CONSUMER }
/** Spans leave the machine, so an error in one never shows more than it does in production. */
const describe = createDescribeError(true)

export interface SpanOptions {
  /** Left out for a step inside the process. */
  readonly kind?: keyof typeof KINDS
  /** Begins a trace of its own, whatever span is active. */
  readonly root?: boolean
  readonly links?: Link[]
}

const NAME = 'revento-starter'
/** Undefined without an SDK, where the API would make empty spans. It is looked up each time: an SDK may load later. */
function tracer(): Tracer | undefined {
  const provider = trace.getTracerProvider()
  return provider instanceof ProxyTracerProvider ? provider.getDelegateTracer(NAME) : provider.getTracer(NAME)
}

/**
 * Begins a span inside the active one. Undefined where no SDK is registered: callers then do nothing further. A span that
 * is not sampled is returned all the same, so that spans inside it are not sampled either.
 */
export function beginSpan(name: string, { kind, ...o }: SpanOptions = {}): Span | undefined {
  const span = tracer()?.startSpan(name, kind ? { ...o, kind: KINDS[kind] } : o)
  return span && isSpanContextValid(span.spanContext()) ? span : undefined
}

/** Runs `work` with the span as the active one; over its awaits too where a context manager is registered. */
export const within = <T>(span: Span | undefined, work: () => T): T =>
  span ? context.with(trace.setSpan(context.active(), span), work) : work()

/** Runs `work` in the span, which ends with it. */
export const inSpan = <T>(span: Span | undefined, work: () => Promise<T>): Promise<T> =>
  span ? untilEnded(span, work) : work()

async function untilEnded<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    return await within(span, work)
  } catch (error) {
    failSpan(span, error)
    throw error
  } finally {
    span.end()
  }
}

export function failSpan(span: Span, error: unknown): void {
  if (!span.isRecording()) return
  const type = error instanceof Error ? classOf(error) : 'Error'
  const message = describe.text(error)
  span.setAttribute('error.type', type)
  span.recordException({ name: type, message })
  span.setStatus({ code: SpanStatusCode.ERROR, message })
}

/** Marks a failure that is an answer and no exception. `type` is a status, or one of our codes. */
export function refuseSpan(span: Span, type: string): void {
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR })
}

/** The trace that a log line belongs to. Undefined where it is not recorded, so that nobody could find it. */
export const traceId = (span = trace.getActiveSpan()): string | undefined =>
  span?.isRecording() ? span.spanContext().traceId : undefined

/** The header that names a span to whoever continues its trace (W3C Trace Context, section 3.2). */
export function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext()
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}

const PLACE = /([0-9a-f]{32})-([0-9a-f]{16})(?:-([0-9a-f]{2}))?/

/** The text that is stored of a span, so that later spans can link to it. Undefined where it is not recorded. */
export const placeOf = (span: Span | undefined): string | undefined =>
  span?.isRecording() ? traceparentOf(span).slice(3, -3) : undefined

/** A link to a stored place, or to the sender of a traceparent. */
export function linkTo(place: string): Link {
  const [, traceId = '', spanId = '', flags = '01'] = PLACE.exec(place) ?? []
  return { context: { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true } }
}
