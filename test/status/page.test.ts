import { expect, test } from 'vitest'
import { createClient } from '../helpers/client.ts'
import { json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { BROWSER, connect, EVENT, knows, startPair, UPSTREAM_TEXT } from '../oauth/harness.ts'

const page = (rows: Record<string, unknown>[], next: string | null = null) =>
  json(200, { data: rows, next_cursor: next, has_more: next !== null })

test('without a session: what this is, and a way to connect', async () => {
  const pair = await startPair()
  await connect(pair)
  const { status, text } = await createClient().get(`${pair.app.url}/`, BROWSER)
  expect(status).toBe(200)
  expect(text).toContain('href="/connect"')
  expect(text).not.toContain('org_test_formal')
})

test('APP_NAME stands on every page, an error among them, as text', async () => {
  const pair = await startPair({ env: { APP_NAME: 'Badges & <more>' } })
  const { client } = await connect(pair)
  const pages = [createClient().get(`${pair.app.url}/`, BROWSER), client.get(`${pair.app.url}/`, BROWSER)]
  for (const { text } of await Promise.all([...pages, client.get(`${pair.app.url}/none`, BROWSER)])) {
    expect(text).toMatch(/<title>.* · Badges &amp; &lt;more&gt;<\/title>/)
    expect(text).toContain('<a class="home" href="/">Badges &amp; &lt;more&gt;</a>')
  }
})

test('with one: event, organization, scopes and participants', async () => {
  const pair = await startPair({ env: { REVENTO_SCOPES: 'event.read participants.read program.read' } })
  pair.upstream.onToken = json(200, tokens())
  pair.upstream.onApi = page([
    { id: 'ptp_1', name: 'Ada Lovelace', application_status: 'revision_requested' },
  ])
  const { client } = await connect(pair)
  const { text } = await client.get(`${pair.app.url}/`, BROWSER)
  expect(text).toContain(EVENT)
  expect(text).toContain('org_test_formal')
  expect(text).toContain('Ada Lovelace')
  expect(text).toContain('revision requested')
  expect(text).toMatch(/Not granted<\/dt><dd>program\.read/)
})

test('what others wrote is text, never markup', async () => {
  const pair = await startPair()
  const attack = '<img src=x onerror=alert(1)>"\'&'
  pair.upstream.onApi = page([{ id: attack, name: attack, application_status: attack }], attack)
  const { client } = await connect(pair)
  const { text } = await client.get(`${pair.app.url}/?event_id=${encodeURIComponent(attack)}`, BROWSER)
  expect(text).toContain('&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;')
  expect(text).not.toContain('<img')
  expect(text.match(/<script[^>]*>[^<]*/g)).toEqual(['<script src="/page.js" type="module">'])
  expect(text).not.toMatch(/<[^>]*( on[a-z]+=| style=)/)
})

test('a next page is asked for with the cursor as it came', async () => {
  const pair = await startPair()
  pair.upstream.onApi = page([{ id: 'ptp_1' }], 'a&b=c/d')
  const { client } = await connect(pair)
  const { text } = await client.get(`${pair.app.url}/`, BROWSER)
  const [, href = ''] = /<a href="([^"]+)">Next page/.exec(text) ?? []
  await client.get(pair.app.url + href.replaceAll('&amp;', '&'), BROWSER)
  const last = pair.upstream.apiRequests().at(-1)
  expect(Object.fromEntries(last?.query ?? [])).toEqual({ limit: '10', cursor: 'a&b=c/d' })
})

test('an event that is not of this session is not shown for the asking', async () => {
  const pair = await startPair()
  pair.upstream.onToken = json(200, tokens({ event_id: 'evt_two', organization_id: 'org_two' }))
  await connect(pair, createClient(), '?event_id=evt_two')
  pair.upstream.onToken = json(200, tokens())
  const { client } = await connect(pair)
  pair.upstream.requests.length = 0
  const { text } = await client.get(`${pair.app.url}/?event_id=evt_two`, BROWSER)
  expect(text).not.toContain('evt_two')
  expect(text).not.toContain('org_two')
  for (const { path } of pair.upstream.apiRequests()) expect(path).toContain(`/api/v1/events/${EVENT}`)
})

test('a rejected refresh shows Reconnect; an upstream that stumbles shows its code, not its words', async () => {
  const pair = await startPair()
  const { client } = await connect(pair)
  pair.upstream.onApi = json(500, { error: 'internal', message: UPSTREAM_TEXT })
  const stumble = await client.get(`${pair.app.url}/`, BROWSER)
  expect(stumble.status).toBe(200)
  expect(stumble.text).toContain('Revento answered <bdi>internal</bdi>')
  expect(stumble.text).not.toContain(UPSTREAM_TEXT)
  expect(stumble.text).not.toContain('Reconnect')
  pair.upstream.onApi = knows('nobody')
  pair.upstream.onToken = json(400, { error: 'invalid_grant' })
  const { text } = await client.get(`${pair.app.url}/`, BROWSER)
  expect(text).toMatch(new RegExp(`<a class="button" href="/connect\\?event_id=${EVENT}">Reconnect`))
  expect(text).toContain('data-state="reconsent"')
})

test('a webhook appears as handled, and changes its participant', async () => {
  const pair = await startPair()
  pair.upstream.onApi = page([{ id: 'ptp_001', name: 'Ada', application_status: 'pending' }])
  const { client } = await connect(pair)
  const { body, headers } = signedDelivery()
  await client.post(`${pair.app.url}/webhooks/revento`, body, headers)
  const text = await until(async () => {
    const shown = await client.get(`${pair.app.url}/`, BROWSER)
    return />handled<\/span>/.test(shown.text) && shown.text
  })
  expect(text).toMatch(/<bdi>application\.<wbr>approved<wbr><\/bdi> <time/)
})

test('a query that cannot be read is not a failure of the page', async () => {
  const pair = await startPair()
  const { client } = await connect(pair)
  for (const query of ['?event_id=%', '?event_id=a&event_id=b', '?cursor=%FF'])
    expect((await client.get(`${pair.app.url}/${query}`, BROWSER)).status).toBe(200)
})
