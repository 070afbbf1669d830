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
  /** Without one it is a step inside the process. */
  readonly kind?: keyof typeof KINDS
  /** Begins a trace of its own, whatever is under way. */
  readonly root?: boolean
  readonly links?: Link[]
}

const NAME = 'revento-starter'
/** Asked each time, and not kept: an SDK may come after this file. Without one the API would make spans of nothing. */
function tracer(): Tracer | undefined {
  const provider = trace.getTracerProvider()
  return provider instanceof ProxyTracerProvider ? provider.getDelegateTracer(NAME) : provider.getTracer(NAME)
}

/**
 * Begins a span in the one that is under way. Undefined where no SDK is registered: then callers do nothing further, and
 * a delivery costs what it cost before. One that is not sampled is passed on all the same, so that what begins in it is
 * not sampled either.
 */
export function beginSpan(name: string, { kind, ...o }: SpanOptions = {}): Span | undefined {
  const span = tracer()?.startSpan(name, kind ? { ...o, kind: KINDS[kind] } : o)
  return span && isSpanContextValid(span.spanContext()) ? span : undefined
}

/** Runs `work` with the span as the one under way: for as long as it takes, where a context manager is registered. */
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

/** For a failure that is an answer, and no error: a status, or one of our codes. */
export function refuseSpan(span: Span, type: string): void {
  span.setAttribute('error.type', type)
  span.setStatus({ code: SpanStatusCode.ERROR })
}

/** The trace that a log line belongs to. Undefined for one that is not recorded: nobody would find it. */
export const traceId = (span = trace.getActiveSpan()): string | undefined =>
  span?.isRecording() ? span.spanContext().traceId : undefined

/** How a span is named to whoever goes on with it (W3C Trace Context, section 3.2). */
export function traceparentOf(span: Span): string {
  const { traceId, spanId, traceFlags } = span.spanContext()
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}

const PLACE = /([0-9a-f]{32})-([0-9a-f]{16})(?:-([0-9a-f]{2}))?/

/** What is stored of a span, for spans of later to link to. Undefined where it is not recorded. */
export const placeOf = (span: Span | undefined): string | undefined =>
  span?.isRecording() ? traceparentOf(span).slice(3, -3) : undefined

/** A link to a stored place, or to the sender of a traceparent. */
export function linkTo(place: string): Link {
  const [, traceId = '', spanId = '', flags = '01'] = PLACE.exec(place) ?? []
  return { context: { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true } }
}
