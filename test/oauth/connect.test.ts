import { request } from 'undici'
import { describe, expect, test } from 'vitest'
import { createClient } from '../helpers/client.ts'
import {
  BROWSER,
  begin,
  EVENT,
  expectError,
  expectErrorPage,
  type Pair,
  sharedPair,
  startPair,
} from './harness.ts'

const shared = sharedPair()
const flows = ({ app }: Pair) => app.database.query.selectFrom('flows').selectAll().execute()

test('/connect sends the browser to authorize with exactly the documented parameters', async () => {
  const pair = await startPair({
    env: {
      REVENTO_REDIRECT_URI: 'https://App.example:443/callback',
      REVENTO_SCOPES: 'event.read',
    },
  })
  const { reply, state } = await begin(pair, createClient(), '?event_id=evt_abc-123')
  const location = new URL(String(reply.headers['location']))
  expect(location.origin + location.pathname).toBe(`${pair.upstream.authBase}/oauth/authorize`)
  const { code_challenge, ...rest } = Object.fromEntries(location.searchParams)
  expect(rest).toEqual({
    response_type: 'code',
    client_id: 'client-for-tests',
    redirect_uri: 'https://App.example:443/callback',
    scope: 'event.read',
    event_id: 'evt_abc-123',
    state,
    code_challenge_method: 'S256',
  })
  expect([...location.searchParams]).toHaveLength(8)
  expect(code_challenge).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect(state).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect(reply.headers['cache-control']).toBe('no-store')
})

test('the redirect URI of the token request is the same bytes', async () => {
  const redirectUri = 'https://App.example:443/callback'
  const pair = await startPair({ env: { REVENTO_REDIRECT_URI: redirectUri } })
  const { client, state } = await begin(pair)
  await client.get(`${pair.app.url}/callback?code=good-code&state=${state}`)
  const form = pair.upstream.tokenRequests()[0]?.form
  expect(form?.get('redirect_uri')).toBe(redirectUri)
  expect(Object.fromEntries(form ?? [])).toEqual({
    grant_type: 'authorization_code',
    code: 'good-code',
    redirect_uri: redirectUri,
    client_id: 'client-for-tests',
    client_secret: 'client-secret-for-tests',
    code_verifier: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
  })
})

describe('event_id', () => {
  test('the event is the configured one when none is asked for', async () => {
    const pair = await startPair({ env: { REVENTO_EVENT_ID: 'evt_from_settings' } })
    const { reply } = await begin(pair)
    expect(new URL(String(reply.headers['location'])).searchParams.get('event_id')).toBe('evt_from_settings')
    expect((await flows(pair)).map(flow => flow.event_id)).toEqual(['evt_from_settings'])
  })

  test.for([
    ['empty', '?event_id='],
    ['with a path in it', '?event_id=../admin'],
    ['with an encoded path in it', '?event_id=..%2Fadmin'],
    ['with a dot', '?event_id=evt.1'],
    ['with a line break', '?event_id=evt_1%0A'],
    ['with a space', '?event_id=evt+1'],
    ['with a NUL', '?event_id=evt%00'],
    ['with letters beyond ASCII', '?event_id=%C3%A9vt'],
    ['too long', `?event_id=${'e'.repeat(129)}`],
    ['repeated', `?event_id=${EVENT}&event_id=${EVENT}`],
    ['repeated in another spelling', `?event_id=${EVENT}&event%5Fid=evt_other`],
    ['with a broken percent sign', '?event_id=evt%E'],
    ['that is not UTF-8', '?event_id=%FF'],
  ])('%s is refused and starts nothing', async ([, query]) => {
    const pair = await shared()
    const reply = await createClient().get(`${pair.app.url}/connect${query}`)
    expectError(pair, reply, 400, 'invalid_event_id')
    expect(reply.headers['set-cookie']).toBeUndefined()
    expect(await flows(pair)).toEqual([])
  })

  test('an event that nobody gave or configured is asked for by a page', async () => {
    const pair = await startPair({ env: { REVENTO_EVENT_ID: undefined } })
    const { text } = await createClient().get(pair.app.url, BROWSER)
    expect(text).not.toContain('href="/connect"')
    expectError(pair, await createClient().get(`${pair.app.url}/connect`), 400, 'invalid_event_id')
    const page = await createClient().get(`${pair.app.url}/connect`, BROWSER)
    expectErrorPage(page, 400, 'invalid_event_id')
    for (const shown of [text, page.text]) expect(shown).toContain('<input class="text" id="event_id"')
    expect(await flows(pair)).toEqual([])
  })

  test('the event of a form may have spaces around it, and a page leads on instead of a redirect', async () => {
    const pair = await startPair()
    const ask = (id: string) =>
      createClient().get(`${pair.app.url}/connect?from=form&event_id=${id}`, BROWSER)
    const { status, headers, text } = await ask('+evt_typed%0A')
    const [, to = ''] = /^0; url=(.+)$/.exec(String(headers['refresh'])) ?? []
    expect([status, new URL(to).searchParams.get('event_id')]).toEqual([200, 'evt_typed'])
    expect(text).toContain(`href="${to.replaceAll('&', '&amp;')}"`)
    expect(headers['set-cookie']).toBeDefined()
    for (const id of ['', '+', 'evt+1', '../admin']) expectErrorPage(await ask(id), 400, 'invalid_event_id')
    expect(await flows(pair)).toHaveLength(1)
  })

  test('an event id of 128 characters is taken', async () => {
    const pair = await startPair()
    await begin(pair, createClient(), `?event_id=${'e'.repeat(128)}`)
    expect(await flows(pair)).toHaveLength(1)
  })
})

test.for(['HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'] as const)('%s starts no flow', async method => {
  const pair = await shared()
  const { statusCode, headers, body } = await request(`${pair.app.url}/connect`, { method })
  await body.dump()
  expect(statusCode).toBe(405)
  expect(headers['allow']).toBe('GET')
  expect(headers['set-cookie']).toBeUndefined()
  expect(headers['location']).toBeUndefined()
  expect(await flows(pair)).toEqual([])
})

test('neither the state nor the verifier can be read in the store', async () => {
  const pair = await startPair()
  const { client, state } = await begin(pair)
  const [row] = await flows(pair)
  const text = JSON.stringify(row, (_key, value) =>
    value instanceof Uint8Array || value?.type === 'Buffer' ? Buffer.from(value).toString('latin1') : value,
  )
  expect(text).toContain(EVENT)
  for (const secret of [state, ...client.cookies.values()]) expect(text).not.toContain(secret)
  await client.get(`${pair.app.url}/callback?code=good-code&state=${state}`)
  const verifier = pair.upstream.tokenRequests()[0]?.form.get('code_verifier') ?? 'none'
  expect(text).not.toContain(verifier)
  expect((await flows(pair))[0]?.verifier).toBeNull()
})

test('beyond ten thousand flows under way /connect is 503, and comes back by itself', async () => {
  const pair = await startPair()
  const row = { cookie_hash: 'c', event_id: 'evt_1', created_at: 0, expires_at: pair.runtime.now() + 600_000 }
  const rows = Array.from({ length: 10_000 }, (_, n) => ({
    ...row,
    state_hash: `s${n}`,
    verifier: null,
    used_at: null,
  }))
  for (let n = 0; n < rows.length; n += 1000)
    await pair.app.database.query
      .insertInto('flows')
      .values(rows.slice(n, n + 1000))
      .execute()
  const client = createClient()
  const refused = await client.get(`${pair.app.url}/connect`)
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '2'])
  pair.runtime.advance(601_000)
  expect((await client.get(`${pair.app.url}/connect`)).status).toBe(302)
})
