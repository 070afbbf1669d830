import { expect, test } from 'vitest'
import { createClient } from '../helpers/client.ts'
import { mirrored } from '../helpers/mirror.ts'
import { json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { BROWSER, connect, EVENT, knows, startPair } from '../oauth/harness.ts'

test('without a session the page says what this is, and shows a way to connect', async () => {
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

test('with a session the page shows event, organization, scopes and participants', async () => {
  const pair = await startPair({ env: { REVENTO_SCOPES: 'event.read participants.read program.read' } })
  pair.upstream.onToken = json(200, tokens())
  await mirrored(pair.app, [
    { participant_id: 'ptp_1', name: 'Ada Lovelace', application_status: 'revision_requested' },
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
  await mirrored(pair.app, [{ participant_id: attack, name: attack, application_status: attack }])
  const { client } = await connect(pair)
  const { text } = await client.get(`${pair.app.url}/?event_id=${encodeURIComponent(attack)}`, BROWSER)
  expect(text).toContain('&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;')
  expect(text).not.toContain('<img')
  expect(text.match(/<script[^>]*>[^<]*/g)).toEqual(['<script src="/page.js" type="module">'])
  expect(text).not.toMatch(/<[^>]*( on[a-z]+=| style=)/)
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

test('a rejected refresh shows Reconnect, with the event on the button', async () => {
  const pair = await startPair()
  const { client } = await connect(pair)
  pair.upstream.onApi = knows('nobody')
  pair.upstream.onToken = json(400, { error: 'invalid_grant' })
  const text = await until(async () => {
    const shown = await client.get(`${pair.app.url}/`, BROWSER)
    return shown.text.includes('data-state="reconsent"') && shown.text
  })
  expect(text).toContain(
    `<a class="button" href="/connect?event_id=${EVENT}">Reconnect <bdi>${EVENT}</bdi></a>`,
  )
})

test('a webhook appears as handled, and changes its participant', async () => {
  const pair = await startPair()
  await mirrored(pair.app, [
    { participant_id: 'ptp_001', name: 'Ada', application_status: 'pending', status_at: '' },
  ])
  const { client } = await connect(pair)
  const { body, headers } = signedDelivery()
  await client.post(`${pair.app.url}/webhooks/revento`, body, headers)
  const text = await until(async () => {
    const shown = await client.get(`${pair.app.url}/`, BROWSER)
    return />handled<\/span>/.test(shown.text) && shown.text
  })
  expect(text).toMatch(/<bdi>Ada<\/bdi><\/td><td><span class="pill" data-tone="good"><bdi>approved/)
})

test('a query that cannot be read is not a failure of the page', async () => {
  const pair = await startPair()
  const { client } = await connect(pair)
  for (const query of ['?event_id=%', '?event_id=a&event_id=b', '?cursor=%FF'])
    expect((await client.get(`${pair.app.url}/${query}`, BROWSER)).status).toBe(200)
})
