import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { context, SpanStatusCode, trace } from '@opentelemetry/api'
import {
  AlwaysOffSampler,
  type InMemorySpanExporter,
  type ReadableSpan,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { afterEach, expect, test } from 'vitest'
import type { HandlerContext } from '../../src/builder/context.ts'
import type { ServiceList } from '../../src/builder/services.ts'
import { HandlerMistake } from '../../src/process/mistake.ts'
import { createDeliveries } from '../../src/webhooks/inbox/deliveries.ts'
import { json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { connect, knows, type Pair, participantsUrl, startPair } from '../oauth/harness.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const THEIRS = '4bf92f3577b34da6a3ce929d0e0e4736'
const TRACEPARENT = `00-${THEIRS}-00f067aa0ba902b7-01`
/** This text stands in a payload, in a handler's error and in a token; it may stand in no span. */
const PRIVATE = 'words-of-a-participant'

afterEach(() => {
  trace.disable()
  context.disable()
})

let copies = 0
/** What the README says to put into services.ts, with an exporter that keeps the spans in memory. */
async function fromReadme() {
  const [, code = ''] =
    /```ts\n(\/\/ src\/integration\/services\.ts[^`]*)```/.exec(readFileSync(`${ROOT}README.md`, 'utf8')) ??
    []
  const imports = `import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BatchSpanProcessor, InMemorySpanExporter, TracerProvider } from '@opentelemetry/sdk-trace'
import { service } from '../../../src/builder/service.ts'
export const memory = new InMemorySpanExporter()
function OTLPTraceExporter() { return memory }
`
  const folder = `${ROOT}node_modules/.cache/readme`
  mkdirSync(folder, { recursive: true })
  const path = `${folder}/${process.pid}-${copies++}.mjs`
  writeFileSync(path, imports + code)
  return (await import(path)) as { memory: InMemorySpanExporter; services: ServiceList }
}

interface Traced extends Pair {
  /** Resolves with the spans that have ended since the last call, when there are this many. */
  spans(most: number): Promise<readonly ReadableSpan[]>
}

async function startTraced(handler: (context: HandlerContext) => Promise<unknown>): Promise<Traced> {
  const { memory, services } = await fromReadme()
  const handlers = {
    revento: { 'application.approved': async (c: HandlerContext) => void (await handler(c)) },
  }
  const pair = await startPair({ handlers, integration: { services } })
  pair.upstream.onToken = json(200, tokens({ access_token: 'old-token', refresh_token: 'refresh-1' }))
  await connect(pair)
  const tracing = (await services['tracing']?.start({} as never)) as TracerProvider
  const traced = {
    ...pair,
    async spans(most: number) {
      const ended = await until(async () => {
        await tracing.forceFlush()
        const all = memory.getFinishedSpans()
        return all.length >= most && all
      })
      memory.reset()
      return ended
    },
  }
  // Of the two requests, and of the code and the first page that the second asks for.
  await traced.spans(4)
  return traced
}

/** Draws the spans by name, each below the one in which it began; `~` is a link to one of them, `?` a link to another. */
function drawn(spans: readonly ReadableSpan[]): string[] {
  const ids = new Map(spans.map(span => [span.spanContext().spanId, span]))
  const rows = (parent: string | undefined, indent: string): string[] =>
    spans
      .filter(({ parentSpanContext: p }) => (p && ids.has(p.spanId) ? p.spanId : undefined) === parent)
      .toSorted((a, b) => startOf(a) - startOf(b))
      .flatMap(span => {
        const links = span.links.map(({ context: { spanId } }) => ` ~ ${ids.get(spanId)?.name ?? '?'}`)
        const failed = span.status.code === SpanStatusCode.ERROR ? ' !' : ''
        return [`${indent}${span.name}${failed}${links}`, ...rows(span.spanContext().spanId, `${indent}  `)]
      })
  return rows(undefined, '')
}
const startOf = ({ startTime: [s, ns] }: ReadableSpan) => s * 1e9 + ns

/** Sends the body in two pieces, because Node reads the second one outside the request's own span. */
async function post({ app }: Pair): Promise<void> {
  const { body, headers } = signedDelivery({ event: { data: { name: PRIVATE } } })
  async function* pieces() {
    yield body.subarray(0, 20)
    await delay(20)
    yield body.subarray(20)
  }
  const answer = await fetch(`${app.url}/webhooks/revento`, {
    method: 'POST',
    headers: { ...headers, traceparent: TRACEPARENT, 'user-agent': 'Revento/7' },
    body: pieces(),
    duplex: 'half',
  })
  expect(answer.status).toBe(200)
}

const line = ({ app }: Pair, msg: string) => until(() => app.log.find(entry => entry['msg'] === msg))
const stored = ({ app }: Pair) =>
  app.database.query
    .selectFrom('inbox')
    .select(['id', 'trace_id', 'headers', 'state'])
    .executeTakeFirstOrThrow()
/** The line of a run comes before its outcome is stored. */
const inState = (pair: Pair, state: string) =>
  until(async () => {
    const row = await stored(pair)
    return row.state === state && row
  })

test('a webhook is one trace: request, commit, run, calls and refresh; its id is stored and logged', async () => {
  const traced = await startTraced(async ({ api, log }) => {
    await api.participants({ limit: 10 })
    log.info({}, 'looked')
  })
  traced.upstream.onApi = knows('new-token')
  traced.upstream.onToken = json(200, tokens({ access_token: 'new-token', refresh_token: 'refresh-2' }))
  traced.upstream.requests.length = 0
  await post(traced)
  const handled = await line(traced, 'delivery handled')
  const spans = await traced.spans(7)
  expect(drawn(spans)).toEqual([
    'POST /webhooks/revento ~ ?',
    '  commit',
    '  process application.approved',
    '    GET /api/v1/events/{event_id}/participants !',
    '    refresh',
    '      POST /oauth/token',
    '    GET /api/v1/events/{event_id}/participants',
  ])
  const [request] = spans.filter(({ name }) => name === 'POST /webhooks/revento')
  const { traceId, spanId } = request?.spanContext() ?? {}
  expect(traceId).not.toBe(THEIRS)
  expect(request?.links.map(link => link.context.traceId)).toEqual([THEIRS])
  const row = await stored(traced)
  expect(row).toMatchObject({ trace_id: `${traceId}-${spanId}`, headers: '{"user-agent":"Revento/7"}' })
  expect(handled).toMatchObject({ trace_id: traceId })
  for (const msg of ['request', 'looked', 'Revento API call']) {
    const last = traced.app.log.findLast(entry => entry['msg'] === msg)
    expect([msg, last?.['trace_id']]).toEqual([msg, traceId])
  }
  // Revento goes on with the span of the very request.
  const sent = traced.upstream.requests.map(({ headers }) => headers['traceparent'])
  const calls = spans.filter(({ kind, attributes }) => kind === 2 && attributes['url.full'] !== undefined)
  expect(new Set(sent)).toEqual(new Set(calls.map(s => `00-${traceId}-${s.spanContext().spanId}-01`)))
  expect(sent).toHaveLength(3)

  expect(request?.attributes).toEqual({
    'http.request.method': 'POST',
    'http.route': '/webhooks/revento',
    'url.path': '/webhooks/revento',
    'http.response.status_code': 200,
    'messaging.message.id': String(row.id),
    'revento.event_id': 'evt_test_published',
    'revento.request_id': expect.any(String),
  })
  expect(spans.find(({ name }) => name.startsWith('process'))?.attributes).toEqual({
    'messaging.system': 'revento',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': 'application.approved',
    'messaging.message.id': String(row.id),
    'revento.event_id': 'evt_test_published',
    'revento.attempt': 1,
    'revento.outcome': 'done',
  })
  expect(
    calls.map(({ attributes: a }) => [a['http.request.method'], a['http.response.status_code']]),
  ).toEqual(
    expect.arrayContaining([
      ['GET', 401],
      ['POST', 200],
      ['GET', 200],
    ]),
  )
  const told = JSON.stringify(
    spans.map(({ name, attributes, events, status }) => [name, attributes, events, status]),
  )
  for (const secret of ['new-token', 'old-token', 'refresh-', PRIVATE, 'limit=10', 'secret'])
    expect(told).not.toContain(secret)
})

test('a later run begins a trace of its own, with a link to the request; what failed says so, and not more', async () => {
  let runs = 0
  const traced = await startTraced(async () => {
    runs++
    if (runs === 1) throw new TypeError(PRIVATE)
    if (runs === 2) throw new HandlerMistake('a text of the source')
  })
  await post(traced)
  await line(traced, 'delivery not handled yet')
  const first = await traced.spans(3)
  expect(drawn(first)).toEqual(['POST /webhooks/revento ~ ?', '  commit', '  process application.approved !'])
  await inState(traced, 'pending')
  traced.runtime.pass(10_000)
  const dead = await line(traced, 'delivery given up')
  const { id } = await inState(traced, 'dead')
  await createDeliveries(traced.app.database.query).replay(String(id), 'operator', Date.now())
  const handled = await line(traced, 'delivery handled')
  const later = await traced.spans(2)
  expect(drawn([...first, ...later])).toEqual([
    'POST /webhooks/revento ~ ?',
    '  commit',
    '  process application.approved !',
    'process application.approved ! ~ POST /webhooks/revento',
    'process application.approved ~ POST /webhooks/revento',
  ])
  const traces = later.map(span => span.spanContext().traceId)
  expect(new Set([...traces, first[0]?.spanContext().traceId]).size).toBe(3)
  expect([dead['trace_id'], handled['trace_id']]).toEqual(traces)
  const failed = [...first, ...later].filter(({ status }) => status.code === SpanStatusCode.ERROR)
  expect(failed.map(({ attributes }) => attributes['error.type'])).toEqual(['TypeError', 'HandlerMistake'])
  expect(failed.map(({ status }) => status.message)).toEqual([
    expect.stringMatching(/^TypeError at test\/process\/tracing\.test\.ts:\d+$/),
    'HandlerMistake: a text of the source',
  ])
  expect(failed.flatMap(({ events }) => events.map(({ name }) => name))).toEqual(['exception', 'exception'])
  expect(
    JSON.stringify(failed.map(({ attributes, events, status }) => [attributes, events, status])),
  ).not.toContain(PRIVATE)
})

test('a page and its call are one trace, whose caller is linked', async () => {
  const traced = await startTraced(async () => {})
  const { client } = await connect(traced)
  await traced.spans(4)
  await client.get(participantsUrl(traced), { traceparent: TRACEPARENT })
  traced.upstream.onApi = json(403, { error: 'no_access' })
  await client.get(participantsUrl(traced))
  expect(drawn(await traced.spans(4))).toEqual([
    'GET /participants ~ ?',
    '  GET /api/v1/events/{event_id}/participants',
    'GET /participants !',
    '  GET /api/v1/events/{event_id}/participants !',
  ])
})

test('what is not sampled is neither stored nor logged, and Revento is told so', async () => {
  const traced = await startTraced(async ({ api }) => void (await api.participants()))
  trace.disable()
  trace.setGlobalTracerProvider(new TracerProvider({ sampler: new AlwaysOffSampler() }))
  traced.upstream.requests.length = 0
  traced.app.log.length = 0
  await post(traced)
  const handled = await line(traced, 'delivery handled')
  expect(handled).not.toHaveProperty('trace_id')
  expect(await stored(traced)).toMatchObject({ trace_id: null })
  expect(JSON.stringify(traced.app.log)).not.toContain('trace_id')
  const [sent] = traced.upstream.apiRequests().map(({ headers }) => headers['traceparent'])
  expect(sent).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-00$/)
  expect(sent).not.toContain(THEIRS)
})
