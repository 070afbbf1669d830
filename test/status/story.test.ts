import { expect, test } from 'vitest'
import type { Handler } from '../../src/builder/context.ts'
import { createClient } from '../helpers/client.ts'
import { emptyPage, json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { BROWSER, connect, EVENT, expectError, knows, type Pair, startPair } from '../oauth/harness.ts'

const ATTACK = '<img src=x onerror=alert(1)>\u202e'

/** A connected browser, and one delivery that a handler of the test's own has to do with. */
async function stage(handler: Handler<'activity.updated'>) {
  const pair = await startPair({ handlers: { revento: { 'activity.updated': handler } } })
  const { client } = await connect(pair)
  const deliver = async (id?: string) => {
    const { body, headers } = signedDelivery({ event: { type: 'activity.updated' }, ...(id ? { id } : {}) })
    await client.post(`${pair.app.url}/webhooks/revento`, body, headers)
  }
  const reaches = (state: string) =>
    until(async () => {
      const { data } = (await client.get(`${pair.app.url}/deliveries`)).json<{
        data: { id: string; state: string }[]
      }>()
      return data.find(d => d.state === state)?.id
    })
  const page = async (id: string) => (await client.get(`${pair.app.url}/deliveries/${id}`, BROWSER)).text
  return { pair, client, deliver, reaches, page }
}

test('a story tells of the calls of a run with their request ids, and of the refresh between', async () => {
  const s = await stage(async ({ api }) => void (await api.participants()))
  const next = tokens()
  s.pair.upstream.onToken = json(200, next)
  s.pair.upstream.onApi = (request, response) => {
    const live = request.headers.authorization === `Bearer ${next.access_token}`
    ;(live ? json(200, emptyPage) : json(401, { error: 'token_expired' }))(request, response)
  }
  await s.deliver()
  const id = await s.reaches('done')
  const { runs } = (await s.client.get(`${s.pair.app.url}/deliveries/${id}`)).json<{
    runs: { calls: { what: string; result: string; request_id?: string }[] }[]
  }>()
  expect(runs[0]?.calls.map(({ what, result }) => `${what} ${result}`)).toEqual([
    `GET /events/${EVENT}/participants 401 token_expired`,
    'token refresh ok',
    `GET /events/${EVENT}/participants 200`,
  ])
  const text = await s.page(id)
  for (const { request_id } of runs[0]?.calls ?? [])
    if (request_id) expect(text).toContain(`request ${request_id}`)
  expect(text).toContain('<code><bdi>token refresh</bdi></code> answered <code><bdi>ok</bdi></code>')
  expect(text).toContain('<strong>Attempt 1</strong>')
  expect(text).not.toContain(next.access_token)
})

test('a story tells a failure with its words as text, and with when it runs again', async () => {
  const s = await stage(() => Promise.reject(new TypeError(ATTACK)))
  await s.deliver()
  const id = await until(async () => {
    const story = (await s.client.get(`${s.pair.app.url}/deliveries`)).json<{
      data: { id: string; last_error: string | null }[]
    }>()
    return story.data.find(d => d.last_error !== null)?.id
  })
  const text = await s.page(id)
  expect(text).toContain('<bdi>TypeError: &lt;img src=x onerror=alert(1)&gt;')
  expect(text).toMatch(/<pre><bdi> {4}at .*story\.test\.ts/)
  expect(text).not.toContain('<img')
  expect(text).toContain('It runs again at')
  expect((await s.client.get(`${s.pair.app.url}/`, BROWSER)).text).not.toContain('<img')
})

test('the story of a parked delivery shows where to reconnect, and goes on to its end afterwards', async () => {
  const s = await stage(async ({ api }) => void (await api.participants()))
  s.pair.upstream.onApi = knows('nobody')
  s.pair.upstream.onToken = json(400, { error: 'invalid_grant' })
  await s.deliver()
  const id = await s.reaches('parked')
  expect(await s.page(id)).toContain(`href="/connect?event_id=${EVENT}">Reconnect`)
  const overview = (await s.client.get(`${s.pair.app.url}/`, BROWSER)).text
  expect(overview).toContain(`Waiting for you to reconnect <a href="/connect?event_id=${EVENT}">`)
  s.pair.upstream.onToken = json(200, tokens())
  s.pair.upstream.onApi = json(200, emptyPage)
  await connect(s.pair, s.client)
  expect(await s.reaches('done')).toBe(id)
  const text = await s.page(id)
  expect(text).toContain('stopped: Revento asks to connect this event again')
  expect(text).toContain('data-outcome="done"')
})

test('the story of a duplicate leads to the first delivery', async () => {
  const s = await stage(async () => {})
  const id = crypto.randomUUID()
  await s.deliver(id)
  const first = await s.reaches('done')
  await s.deliver(id)
  expect(await s.page(await s.reaches('duplicate'))).toContain(
    `<a href="/deliveries/${first}">delivery ${first}</a>`,
  )
})

test.for(['0', 'abc', '1.5', '-1', '%00', '1'.repeat(30), 'stream2'])(
  '/deliveries/%s is not found',
  async id => {
    const pair = await startPair()
    const { client } = await connect(pair)
    expectError(pair, await client.get(`${pair.app.url}/deliveries/${id}`), 404, 'not_found')
  },
)

test('without a session a story is 401, whether its delivery exists or not', async () => {
  const s = await stage(async () => {})
  await s.deliver()
  const id = await s.reaches('done')
  for (const asked of [id, '4711'])
    expectError(
      s.pair,
      await createClient().get(`${s.pair.app.url}/deliveries/${asked}`),
      401,
      'unauthenticated',
    )
})

const deletion = async (pair: Pair) => {
  const { client } = await connect(pair)
  const { body, headers } = signedDelivery({
    event: { type: 'data.deletion_required', occurred_at: new Date().toISOString(), data: {} },
  })
  await client.post(`${pair.app.url}/webhooks/revento`, body, headers)
  return client
}

test('from the moment an event has to be deleted its card says so, and nothing of it is shown', async () => {
  const pair = await startPair({
    handlers: { revento: { 'data.deletion_required': () => Promise.reject(new Error('no')) } },
  })
  const client = await deletion(pair)
  const text = await until(async () => {
    const page = (await client.get(`${pair.app.url}/`, BROWSER)).text
    return page.includes('Ended: Revento asked to delete') && page
  })
  expect(text).toContain('Reconnect')
  expect(text).not.toContain('data-state="pending"')
  expect((await client.get(`${pair.app.url}/deliveries`)).json()).toEqual({ data: [] })
})
