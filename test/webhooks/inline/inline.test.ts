import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { InMemorySpanExporter, SimpleSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import { expect, onTestFinished, test } from 'vitest'
import type { InlineAnswer, SenderContext } from '../../../src/builder/context.ts'
import { manualClock } from '../../helpers/clock.ts'
import { until } from '../../helpers/wait.ts'
import { sharedAsked, startAsked } from './inline-harness.ts'

const shared = sharedAsked()
const hanging = () => new Promise<never>(() => {})

test.each([
  ['nothing', undefined, 200, '{"status":"ok"}'],
  ['nothing in an object', {}, 200, '{"status":"ok"}'],
  ['a body', { body: { approved: true, nested: ['é'] } }, 200, '{"approved":true,"nested":["é"]}'],
  ['another success', { status: 202, body: {} }, 202, '{}'],
  ['a denial', { status: 403, body: { reason: 'banned' } }, 403, '{"reason":"banned"}'],
  ['a denial without a body', { status: 422 }, 422, '{"status":"denied"}'],
  ['a refusal of its own', { status: 503, body: { later: true } }, 503, '{"later":true}'],
] as [string, InlineAnswer | undefined, number, string][])(
  'a handler that returns %s makes the answer, kept with its row',
  async (_, result, status, text) => {
    const app = await shared(async () => result)
    const answer = await app.ask({ event_id: 'whevt_a' })
    expect([answer.status, answer.text]).toEqual([status, text])
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
    const [row] = await app.rows()
    expect(row).toMatchObject({
      provider: 'aghanim',
      envelope_id: 'whevt_a',
      type: 'player.verify',
      state: 'done',
      attempts: 1,
      lease_owner: null,
    })
    expect(row?.finished_at).not.toBeNull()
    expect(await app.answers()).toMatchObject([
      { key: 'aghanim event whevt_a', status, body: text, inbox_id: row?.id, lease_owner: null },
    ])
  },
)

test('an inline handler gets the event, its bytes and a signal', async () => {
  const seen: SenderContext[] = []
  const app = await startAsked(async context => void seen.push(context) as undefined)
  await app.ask({ event_data: { player_id: 'p1' } })
  expect(seen[0]).toMatchObject({
    event: { event_type: 'player.verify', event_data: { player_id: 'p1' } },
    delivery: { provider: 'aghanim', attempt: 1, id: 0 },
  })
  expect(JSON.parse(String(seen[0]?.raw))).toEqual(seen[0]?.event)
  expect(seen[0]?.signal.aborted).toBe(false)
})

test('the run of an inline handler is part of the trace of its request, which is stored', async () => {
  const exporter = new InMemorySpanExporter()
  context.setGlobalContextManager(new AsyncLocalStorageContextManager())
  trace.setGlobalTracerProvider(
    new TracerProvider({ spanProcessors: [new SimpleSpanProcessor({ exporter })] }),
  )
  onTestFinished(() => {
    trace.disable()
    context.disable()
  })
  const app = await startAsked(async () => ({ body: {} }))
  await app.ask({ event_id: 'whevt_t' })
  const [run, request] = await until(
    () => exporter.getFinishedSpans().length === 2 && exporter.getFinishedSpans(),
  )
  expect([run?.name, request?.name]).toEqual(['process player.verify', 'POST /webhooks/aghanim'])
  const { traceId, spanId } = request?.spanContext() ?? {}
  expect(run?.parentSpanContext).toMatchObject({ traceId, spanId })
  expect(await app.rows()).toMatchObject([{ trace_id: `${traceId}-${spanId}` }])
})

test('a repeat gets the first answer, byte for byte, and is recorded as a duplicate', async () => {
  let runs = 0
  const app = await startAsked(async () => ({ status: runs++ === 0 ? 403 : 200, body: { n: runs } }))
  const first = await app.ask({ event_id: 'whevt_r' })
  for (let i = 0; i < 3; i++) {
    const again = await app.ask({ event_id: 'whevt_r' })
    expect([again.status, again.text]).toEqual([403, first.text])
  }
  expect(runs).toBe(1)
  const [one, ...rest] = await app.rows()
  expect(rest.map(row => [row.state, row.duplicate_of, row.body])).toEqual(
    Array(3).fill(['duplicate', one?.id, null]),
  )
})

test('the idempotency key counts, whatever the event; without one the event id does', async () => {
  let runs = 0
  const app = await startAsked(async () => ({ body: { n: ++runs } }))
  const ask = async (event_id: string, idempotency_key: string | null) =>
    (await app.ask({ event_id, idempotency_key })).json()['n']
  expect([
    await ask('e1', 'k1'),
    await ask('e2', 'k1'),
    await ask('e1', null),
    await ask('k1', null),
  ]).toEqual([1, 1, 2, 3])
  expect([await ask('e1', null), await ask('e3', 'e1')]).toEqual([2, 4])
})

test('repeats that come while the first one runs wait for its answer', async () => {
  let runs = 0
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const app = await startAsked(async () => {
    runs++
    await gate
    return { body: { runs } }
  })
  const all = Array.from({ length: 20 }, () => app.ask({ event_id: 'whevt_c' }))
  await until(() => runs > 0)
  open()
  const answers = await Promise.all(all)
  expect(new Set(answers.map(a => `${a.status} ${a.text}`))).toEqual(new Set(['200 {"runs":1}']))
  const states = (await app.rows()).map(row => row.state)
  expect(states.filter(state => state === 'done')).toHaveLength(1)
  expect(states.filter(state => state === 'duplicate')).toHaveLength(19)
})

test('a handler that throws is a 500; its row says why, and the sender may ask again', async () => {
  let runs = 0
  const app = await startAsked(async () => {
    if (++runs === 1) throw new Error('the look-up failed')
    return undefined
  })
  const failed = await app.ask({ event_id: 'whevt_f' })
  expect([failed.status, failed.json()['error']]).toEqual([500, 'internal_error'])
  expect(failed.text).not.toContain('look-up')
  expect(await app.answers()).toEqual([])
  expect((await app.ask({ event_id: 'whevt_f' })).status).toBe(200)
  expect(await app.rows()).toMatchObject([
    { state: 'dead', last_error: 'Error: the look-up failed', attempts: 1 },
    { state: 'done', last_error: null },
  ])
})

const circular: { self?: unknown } = {}
circular.self = circular
test.each([
  ['a redirect', { status: 302 }],
  ['a status below 200', { status: 101 }],
  ['a status that is no number', { status: 'ok' as never }],
  ['a body that cannot be JSON', { body: circular }],
])('%s is a failure of the handler', async (_, result) => {
  const app = await shared(async () => result)
  expect((await app.ask()).status).toBe(500)
  expect(await app.rows()).toMatchObject([{ state: 'dead' }])
})

test('a late handler is told so, and the sender to ask again; its answer is kept, and nobody else runs meanwhile', async () => {
  const clock = manualClock()
  const signals: AbortSignal[] = []
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const slow = async ({ signal }: SenderContext) => {
    signals.push(signal)
    await gate
    return { body: { runs: signals.length } }
  }
  const app = await startAsked(slow, { runtime: clock })
  const asking = app.ask({ event_id: 'whevt_l' }, { at: clock.now() })
  await until(() => signals.length === 1 && clock.sleepers().includes(8_000))
  const renewals = () => clock.sleepers().filter(ms => ms === 5_000).length
  const atFirst = renewals()
  clock.advance(7_999)
  expect(signals[0]?.aborted).toBe(false)
  clock.advance(1)
  const late = await asking
  expect([late.status, late.json()['error'], late.headers['retry-after']]).toEqual([503, 'not_answered', '2'])
  expect(signals[0]?.aborted).toBe(true)
  await until(() => renewals() === atFirst)
  // Four times as long as a lease.
  for (let ms = 0; ms < 60_000; ms += 5_000) {
    clock.advance(5_000)
    const end = clock.now() + 15_000
    await until(async () => (await app.answers())[0]?.lease_until === end)
    await until(() => renewals() === atFirst)
  }
  const repeats = [1, 2].map(() => app.ask({ event_id: 'whevt_l' }, { at: clock.now() }))
  await until(() => clock.sleepers().filter(ms => ms === 100).length === 2)
  expect(await app.rows()).toEqual([])
  open()
  await until(async () => (await app.answers())[0]?.status === 200)
  clock.advance(100)
  expect((await Promise.all(repeats)).map(answer => answer.text)).toEqual(Array(2).fill('{"runs":1}'))
  expect(signals).toHaveLength(1)
  expect((await app.rows()).map(row => row.state)).toEqual(['done', 'duplicate', 'duplicate'])
})

test('a late handler that fails lets go of its key, and its row says why', async () => {
  const clock = manualClock()
  let runs = 0
  const app = await startAsked(
    ({ signal }) =>
      ++runs > 1
        ? Promise.resolve({ body: { runs } })
        : new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
    { runtime: clock },
  )
  const asking = app.ask({ event_id: 'whevt_n' }, { at: clock.now() })
  await until(() => runs === 1 && clock.sleepers().includes(8_000))
  clock.advance(8_000)
  expect((await asking).status).toBe(503)
  await until(async () => (await app.answers()).length === 0)
  expect((await app.ask({ event_id: 'whevt_n' }, { at: clock.now() })).text).toBe('{"runs":2}')
  expect((await app.rows()).map(row => [row.state, row.last_error])).toEqual([
    ['dead', expect.stringMatching(/^HandlerLate/)],
    ['done', null],
  ])
})

test('a repeat waits no longer than a first one may take', async () => {
  const clock = manualClock()
  let runs = 0
  const { promise: gate, resolve: open } = Promise.withResolvers<undefined>()
  const first = await startAsked(
    () => {
      runs++
      return gate
    },
    { runtime: clock },
  )
  const pending = first.ask({ event_id: 'whevt_w' }, { at: clock.now() })
  await until(() => runs === 1)
  const key = { lease_until: clock.now() + 15_000 }
  const repeat = first.ask({ event_id: 'whevt_w' }, { at: clock.now() })
  await until(() => clock.sleepers().includes(100))
  // The process that holds the lease is elsewhere, so that nothing here ends its run.
  await first.database.query
    .updateTable('inline_answers')
    .set({ ...key, lease_owner: 'elsewhere' })
    .execute()
  clock.advance(8_000)
  expect((await pending).status).toBe(503)
  expect((await repeat).json()['error']).toBe('not_answered')
  expect(runs).toBe(1)
  open(undefined)
})

test.each(['item.add', 'constructor', '__proto__', 'toString'])(
  'an unknown type, %s, is 400 and not stored',
  async type => {
    const app = await shared(async () => undefined)
    const answer = await app.ask({ event_type: type })
    expect([answer.status, answer.json()['error']]).toEqual([400, 'unknown_event_type'])
    expect([await app.rows(), await app.answers()]).toEqual([[], []])
  },
)

test.each([
  ['no event id', { event_id: undefined }],
  ['a number as event id', { event_id: 7 }],
  ['an empty event id', { event_id: '' }],
  ['no type', { event_type: undefined }],
  ['a number as idempotency key', { idempotency_key: 7 }],
  ['an empty idempotency key', { idempotency_key: '' }],
  ['an idempotency key of 201 characters', { idempotency_key: 'a'.repeat(201) }],
])('an envelope with %s is 400', async (_, change) => {
  const app = await shared(async () => undefined)
  expect((await app.ask(change)).json()['error']).toBe('invalid_payload')
  expect(await app.rows()).toEqual([])
})

test('the answer and its row are one transaction: without the row there is no answer', async () => {
  const app = await startAsked(async () => undefined)
  const { query } = app.database
  await query.schema.alterTable('attempts').renameTo('not_there').execute()
  expect((await app.ask({ event_id: 'whevt_t' })).status).toBeGreaterThanOrEqual(500)
  expect(await app.answers()).toMatchObject([{ status: null, body: null }])
  await query.schema.alterTable('not_there').renameTo('attempts').execute()
  await query
    .updateTable('inline_answers')
    .set({ lease_until: Date.now() - 1 })
    .execute()
  expect((await app.ask({ event_id: 'whevt_t' })).status).toBe(200)
})

test('the dispatcher never runs an inline handler: nobody waits for its answer', async () => {
  let runs = 0
  const app = await startAsked(async () => void runs++ as undefined)
  await app.ask({ event_id: 'whevt_d' })
  await app.database.query
    .updateTable('outcomes')
    .set({ state: 'pending', attempts: 0, next_at: 0 })
    .execute()
  await until(async () => (await app.rows())[0]?.state === 'ignored')
  expect(runs).toBe(1)
})

test('on a stop, handlers get their grace; the rest are told to stop, and the sender to ask again', async () => {
  const clock = manualClock()
  let began = 0
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  const app = await startAsked(
    async ({ event }) => {
      began++
      return (event as { event_id: string }).event_id === 'quick'
        ? (void (await gate) as undefined)
        : hanging()
    },
    { runtime: clock },
  )
  const asks = ['quick', 'slow'].map(event_id => app.ask({ event_id }, { at: clock.now() }))
  await until(() => began === 2)
  const closing = app.app.close()
  await until(() => clock.sleepers().includes(3_000))
  open()
  expect((await asks[0])?.status).toBe(200)
  clock.advance(3_000)
  expect((await asks[1])?.json()['error']).toBe('not_answered')
  await closing
})
