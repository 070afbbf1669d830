import { expect, onTestFinished, test } from 'vitest'
import type { Handler } from '../../../src/builder/context.ts'
import { createApiClient } from '../../../src/revento/api.ts'
import { createOutgoing } from '../../../src/revento/http.ts'
import { createRunHandler } from '../../../src/webhooks/dispatch/run-handler.ts'
import { testBudgets } from '../../helpers/budgets.ts'
import { manualClock } from '../../helpers/clock.ts'
import { emptyPage, json, startUpstream } from '../../helpers/upstream.ts'
import { envelope } from '../../helpers/webhook.ts'
import { quiet } from '../../revento/api-harness.ts'

/** What a handler gets as `api`, over real sockets, in a time that the test moves. */
async function start(handler: Handler<'application.approved'>, event: Record<string, unknown> = {}) {
  const clock = manualClock()
  const upstream = await startUpstream()
  const outgoing = createOutgoing()
  onTestFinished(async () => {
    await outgoing.close()
    await upstream.close()
  })
  const log = { info: () => {}, warn: () => {}, error: () => {} }
  const to = { apiBase: upstream.apiBase, dispatcher: outgoing.api }
  const apiClient = createApiClient({ ...(await testBudgets()), ...to, log }, clock)
  const run = createRunHandler(
    {
      handlers: { revento: { 'application.approved': handler } },
      query: {} as never,
      own: {} as never,
      apiClient,
      accessTokens: { use: (_key, call) => call('token-1') },
      owed: {},
      log: { child: () => log },
    },
    clock,
  )
  const stopping = new AbortController()
  const delivery = {
    id: 1,
    provider: 'revento',
    type: 'application.approved',
    eventId: null,
    attempt: 1,
    receivedAt: 0,
    body: Buffer.from(JSON.stringify(envelope(event))),
  }
  return { clock, upstream, stopping, run: () => run(delivery as never, stopping.signal, () => {}) }
}

const limited = (seconds: number) =>
  json(429, { error: 'rate_limit_exceeded' }, { 'retry-after': String(seconds) })

test('a handler waits for its turn within its time', async () => {
  const { clock, upstream, run } = await start(async ({ api }) => void (await api.participants()))
  upstream.onApi = limited(15)
  const running = run()
  await quiet(upstream)
  upstream.onApi = json(200, emptyPage)
  clock.advance(15_000)
  await running
  expect(upstream.requests).toHaveLength(2)
})

test('a wait that would outlast the handler’s time fails at once: its delivery comes back later', async () => {
  const { upstream, run } = await start(async ({ api }) => void (await api.participants()))
  upstream.onApi = limited(21)
  await expect(run()).rejects.toMatchObject({ code: 'rate_limit_exceeded', retryAfterMs: 21_000 })
  expect(upstream.requests).toHaveLength(1)
})

test('the handler’s signal ends its wait, and nothing is sent afterwards', async () => {
  const { clock, upstream, stopping, run } = await start(async ({ api }) => void (await api.participants()))
  upstream.onApi = limited(15)
  const running = run()
  await quiet(upstream)
  stopping.abort(new Error('stopped'))
  await expect(running).rejects.toThrow('stopped')
  clock.advance(60_000)
  await quiet(upstream)
  expect(upstream.requests).toHaveLength(1)
})

test('an event without a connection has nothing to call', async () => {
  const codes: unknown[] = []
  const { upstream, run } = await start(
    async ({ api }) => {
      const { allParticipants, ...calls } = api
      const first = async () => allParticipants()[Symbol.asyncIterator]().next()
      for (const call of [first, ...Object.values(calls)])
        codes.push(await call().catch((error: { code: unknown }) => error.code))
    },
    { event_id: null, organization_id: null },
  )
  await run()
  expect(codes).toEqual(Array.from({ length: 8 }, () => 'not_connected'))
  expect(upstream.requests).toEqual([])
})
