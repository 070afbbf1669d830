import type { FastifyInstance } from 'fastify'
import { describe, expect, test } from 'vitest'
import type { Routes } from '../../src/builder/route.ts'
import { html } from '../../src/http/html.ts'
import { startApp } from '../helpers/app.ts'
import { createClient } from '../helpers/client.ts'
import { json, tokens } from '../helpers/upstream.ts'
import { BROWSER, connect, EVENT, expectError, type Pair, startPair } from '../oauth/harness.ts'

const FORM = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' }

const routes: Routes = async (app, { guard, page, formToken, revento }) => {
  app.get('/app/events', guard.organizer, async request => request.organizer.events.map(e => e.eventId))
  app.get<{ Params: { id: string } }>(
    '/app/events/:id/people',
    guard.organizer,
    async ({ organizer, params }) => organizer.event(params.id).api.participants(),
  )
  app.get('/app/page', guard.organizer, (request, reply) =>
    page(reply, { title: 'Badges', body: html`<form method="post">${formToken(request)}</form>` }),
  )
  app.post('/app/page', guard.organizer, async request => ({ changed: request.organizer.events.length }))
  app.get('/app/about', guard.open, (_request, reply) =>
    page(reply, { title: 'About', body: html`<p>${'<b>'}</p>` }),
  )
  app.post('/app/hook', guard.open, async ({ body }) => ({ body }))
  app.get(
    '/app/count',
    guard.open,
    async () => (await (await revento.event(EVENT)).api.participants()).data.length,
  )
  app.get('/app/throws', guard.open, async () => {
    throw new TypeError('a text that nobody may see')
  })
  app.get('/app/mistake', guard.open, async request => request.organizer.events)
  // A plugin in it, and hooks of a route's own, take no guard away.
  await app.register(async (inner: FastifyInstance) => {
    inner.get('/app/inner', { ...guard.organizer, onRequest: async () => {} }, async () => 'inner')
  })
}
const start = () => startPair({ handlers: { revento: {} }, integration: { routes } })
const tokenOf = async ({ app }: Pair, client = createClient()) =>
  /name="form_token" value="([^"]+)"/.exec((await client.get(`${app.url}/app/page`, BROWSER)).text)?.[1] ?? ''

describe('a route for organizers', () => {
  test('a route for organizers is 401 for a browser that has connected nothing, in a plugin and with hooks of its own too', async () => {
    const pair = await start()
    for (const path of ['/app/events', '/app/inner', '/app/page'])
      expectError(pair, await createClient().get(pair.app.url + path), 401, 'unauthenticated')
    expectError(pair, await createClient().post(`${pair.app.url}/app/page`, '', FORM), 401, 'unauthenticated')
  })

  test('a route for organizers sees what its browser has connected, and calls the API for it; another’s event is none', async () => {
    const pair = await start()
    const { client: one } = await connect(pair)
    pair.upstream.onToken = json(200, tokens({ event_id: 'evt_two' }))
    const { client: two } = await connect(pair, createClient(), '?event_id=evt_two')
    expect((await one.get(`${pair.app.url}/app/events`)).json()).toEqual([EVENT])
    expect((await two.get(`${pair.app.url}/app/events`)).json()).toEqual(['evt_two'])
    expect((await one.get(`${pair.app.url}/app/events/${EVENT}/people`)).json()).toMatchObject({
      has_more: false,
    })
    for (const other of ['evt_two', 'evt_nowhere'])
      expectError(pair, await one.get(`${pair.app.url}/app/events/${other}/people`), 404, 'not_found')
  })

  test('a route answers what the API throws as our own routes do', async () => {
    const pair = await start()
    const { client } = await connect(pair)
    pair.upstream.onApi = json(401, { error: 'token_revoked' })
    const answer = await client.get(`${pair.app.url}/app/events/${EVENT}/people`)
    expect([answer.status, answer.json()['error'], answer.json()['connect_url']]).toEqual([
      409,
      'revoked',
      `${pair.app.config.origin}/connect?event_id=${EVENT}`,
    ])
    expect((await client.get(`${pair.app.url}/app/events/${EVENT}/people`)).status).toBe(409)
    expect((await client.get(`${pair.app.url}/app/events`)).json()).toEqual([])
  })

  test('a route changes something only for a form of our own page, made for this session', async () => {
    const pair = await start()
    const { client } = await connect(pair)
    const { client: other } = await connect(pair)
    const post = (token: string, headers: Record<string, string> = FORM) =>
      client.post(`${pair.app.url}/app/page`, new URLSearchParams({ form_token: token }).toString(), headers)
    const token = await tokenOf(pair, client)
    expect((await post(token)).json()).toEqual({ changed: 1 })
    for (const [wrong, headers] of [
      ['', FORM],
      [await tokenOf(pair, other), FORM],
      [token, { ...FORM, 'sec-fetch-site': 'cross-site' }],
    ] as const)
      expectError(pair, await post(wrong, headers), 403, 'form_rejected')
  })
})

test('a route for everybody may call for any connection, and answers alike when that cannot be used', async () => {
  const pair = await start()
  const count = async () => (await createClient().get(`${pair.app.url}/app/count`)).text
  expect(JSON.parse(await count())).toMatchObject({ error: 'not_found' })
  await connect(pair)
  expect(await count()).toBe('0')
  pair.upstream.onApi = json(401, { error: 'token_revoked' })
  const link = `${pair.app.config.origin}/connect?event_id=${EVENT}`
  expect(JSON.parse(await count())).toMatchObject({ error: 'revoked', connect_url: link })
})

test('a start page of the builder’s takes the place of ours, and is where a browser lands that has connected', async () => {
  const own: Routes = (app, { guard }) => {
    app.get('/', guard.organizer, async ({ organizer }) => organizer.events[0]?.eventId)
  }
  const pair = await startPair({ handlers: { revento: {} }, integration: { routes: own } })
  const { client } = await connect(pair)
  expect((await client.get(`${pair.app.url}/`)).text).toBe(EVENT)
  expectError(pair, await createClient().get(`${pair.app.url}/`), 401, 'unauthenticated')
})

test('a page has our layout, our headers, and a log-out where somebody is known', async () => {
  const pair = await start()
  const { client } = await connect(pair)
  const own = await client.get(`${pair.app.url}/app/page`, BROWSER)
  expect(own.text).toContain('<title>Badges · ')
  expect(own.text).toContain('action="/logout"')
  expect(own.headers['content-security-policy']).toContain("default-src 'none'")
  expect(own.headers['cache-control']).toBe('no-store')
  const open = await createClient().get(`${pair.app.url}/app/about`, BROWSER)
  expect([open.status, open.text.includes('&lt;b&gt;'), open.text.includes('/logout')]).toEqual([
    200,
    true,
    false,
  ])
})

test('a route of the builder’s that throws is answered as our own errors are, and nothing else is the worse for it', async () => {
  const pair = await start()
  for (const path of ['/app/throws', '/app/mistake']) {
    const answer = await createClient().get(pair.app.url + path)
    expect([answer.status, answer.json()['error']]).toEqual([500, 'internal_error'])
    expect(answer.text).not.toContain('nobody may see')
  }
  expect(
    (
      await createClient().post(`${pair.app.url}/app/hook`, '{"a":1}', { 'content-type': 'application/json' })
    ).json(),
  ).toEqual({ body: { a: 1 } })
  expect((await createClient().get(`${pair.app.url}/ready`)).status).toBe(200)
})

describe('the start is stopped by', () => {
  const starting = (own: Routes) => startApp({ handlers: { revento: {} }, integration: { routes: own } })
  test('routes without a guard stop the start, each named', async () => {
    const own: Routes = async (app, { guard }) => {
      app.get('/app/a', async () => 'a')
      app.post('/app/b', { ...guard.organizer, config: {} }, async () => 'b')
      app.get('/app/c', guard.open, async () => 'c')
      await app.register(async inner => void inner.get('/app/d', async () => 'd'))
    }
    const told = await starting(own).then(
      () => '',
      (error: Error) => `${error.name}: ${error.message}`,
    )
    expect(told).toMatch(/^BuilderMistake: .*GET \/app\/a has no guard\. Write guard\.organizer/)
    expect(told.match(/\S+ \/app\/\w/g)).toEqual(['GET /app/a', 'POST /app/b', 'GET /app/d'])
  })

  test('a path of ours, and a plugin that throws, stop the start', async () => {
    const taken: Routes = (app, { guard }) => void app.get('/participants', guard.open, async () => '')
    await expect(starting(taken)).rejects.toThrow(
      /'\/participants'.* Give it another path: nothing of ours is under \/app\//,
    )
    const broken: Routes = () => {
      throw new RangeError('no table of seats')
    }
    await expect(starting(broken)).rejects.toThrow('the routes cannot be added: no table of seats')
  })
})
