import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/settings.ts'
import { createClient, sessionCookie } from '../helpers/client.ts'
import { until } from '../helpers/wait.ts'
import { BROWSER, connect, EVENT, type Pair, startPair } from '../oauth/harness.ts'
import { post, row, signIn, startOperated, stored, TOKEN } from './harness.ts'

const HOSTILE = '</bdi><script>alert(1)</script><img src=x onerror=alert(2)>\u202e'
const SECRET = 'canary-of-a-payload'

/** Every route below /operator, with an id that exists. */
const PAGES = [
  ...['/operator', '/operator/deliveries', '/operator/deliveries/1', '/operator/replays'],
  ...['/operator/replay?state=dead', '/operator/deliveries?q=delivery-1'],
]
const FORMS = [
  ...['/operator/deliveries/1/reveal', '/operator/deliveries/1/replay', '/operator/deliveries/1/dead'],
  ...['/operator/deliveries/1/due', '/operator/replays', '/operator/replays/1/stop', '/operator/sign-out'],
]

const QUESTIONS = {
  '/operator/deliveries/1/replay': '<h1>Run delivery 1 again?',
  '/operator/deliveries/1/dead': '<h1>Give delivery 1 up?',
  '/operator/deliveries/1/due': '<h1>Run delivery 1 now?',
  '/operator/replays/1/stop': '<h1>Stop replay 1?',
}
/** This replay has nothing left to do for a long time. */
const REPLAY = {
  ...({ platform: 'real', state: 'running', total: 9, replayed: 0, last_id: 0 } as const),
  ...{ through_id: 0, created_at: Date.now(), stepped_at: Date.now() },
}

const withOne = async (o: Parameters<typeof startOperated>[0] = {}): Promise<Pair> => {
  const pair = await startOperated(o)
  const body = Buffer.from(JSON.stringify({ id: 'e', type: 't', data: { name: SECRET } }))
  await stored(pair.app.database.query, [row(1, { state: 'dead', last_error: 'Error: no', body })])
  return pair
}

const stateOf = async ({ app }: Pair) =>
  (await app.database.query.selectFrom('inbox').select('state').executeTakeFirst())?.state

test('without OPERATOR_TOKEN there is nothing, and a short one stops the start', async () => {
  const pair = await startPair()
  for (const path of [...PAGES, '/operator/stream'])
    expect([path, (await createClient().get(pair.app.url + path)).status]).toEqual([path, 404])
  for (const path of [...FORMS, '/operator/sign-in'])
    expect([path, (await post(pair, createClient(), path)).status]).toEqual([path, 404])
  expect(() => loadConfig({ OPERATOR_TOKEN: 'x'.repeat(31) })).toThrow(/OPERATOR_TOKEN .*32 to 512/)
})

describe('who has not signed in', () => {
  test.each([
    ['nobody', async () => createClient()],
    ['an organizer', async (pair: Pair) => (await connect(pair)).client],
    [
      'a forged cookie',
      async (pair: Pair) => {
        const client = createClient()
        const { client: operator } = await signIn(pair)
        for (const name of operator.cookies.keys()) client.cookies.set(name, 'A'.repeat(43))
        return client
      },
    ],
    [
      'an organizer’s session under the operator’s name',
      async (pair: Pair) => {
        const { client } = await connect(pair)
        const { client: operator } = await signIn(pair)
        for (const name of operator.cookies.keys()) client.cookies.set(name, sessionCookie(client).value)
        return client
      },
    ],
  ])('%s sees no page and presses no button', async (_name, visitor) => {
    const pair = await withOne()
    const client = await visitor(pair)
    const organizers = (await client.get(`${pair.app.url}/`, BROWSER)).text
    const [, form_token = ''] = /name="form_token" value="([^"]+)"/.exec(organizers) ?? []
    for (const path of PAGES) {
      const { status, text } = await client.get(pair.app.url + path, BROWSER)
      expect([path, status]).toEqual([path, 401])
      expect(text).toContain('name="token"')
      expect(text).not.toMatch(/canary|application\.approved/)
    }
    for (const path of FORMS) {
      const fields = { form_token, confirmed: 'yes', state: 'dead' }
      expect([path, (await post(pair, client, path, fields)).status]).toEqual([path, 401])
    }
    expect((await client.get(`${pair.app.url}/operator/stream`)).status).toBe(401)
    expect(await stateOf(pair)).toBe('dead')
  })

  test('a token in the address, or another site’s form, signs nobody in', async () => {
    const pair = await withOne()
    const client = createClient()
    expect((await client.get(`${pair.app.url}/operator?token=${TOKEN}`, BROWSER)).status).toBe(401)
    const foreign = { 'sec-fetch-site': 'cross-site' }
    expect((await post(pair, client, '/operator/sign-in', { token: TOKEN }, foreign)).status).toBe(403)
    expect(client.cookies.size).toBe(0)
  })

  test('after ten tries a token is taken once in six seconds, also the right one', async () => {
    const pair = await withOne()
    const client = createClient()
    const attempt = (token: string) => post(pair, client, '/operator/sign-in', { token })
    for (const near of [TOKEN.slice(1), `${TOKEN}x`, '', TOKEN.toUpperCase(), ...Array(6).fill('guess')])
      expect((await attempt(near)).status).toBe(401)
    expect((await attempt(TOKEN)).status).toBe(429)
    pair.runtime.advance(6_000)
    expect((await attempt(TOKEN)).status).toBe(303)
    expect(JSON.stringify(pair.app.log)).not.toContain(TOKEN)
  })

  test('a sign-in leads back to the page that was asked for, and to no other site', async () => {
    const pair = await withOne()
    const next = async (next: string) =>
      (await post(pair, createClient(), '/operator/sign-in', { token: TOKEN, next })).headers['location']
    expect(await next('/operator/deliveries?state=dead')).toBe('/operator/deliveries?state=dead')
    const { headers } = await post(pair, createClient(), '/operator/sign-in', { token: TOKEN })
    expect(String(headers['set-cookie'])).toMatch(/^\w+=[\w-]{43}; .*HttpOnly; SameSite=Lax/)
    for (const bad of ['https://evil.example', '//evil.example', '/operator//x\r\ny', '/operator.evil'])
      expect(await next(bad)).toBe('/operator')
  })
})

describe('who has signed in', () => {
  test('an operator’s session is no organizer’s', async () => {
    const pair = await withOne()
    const { client } = await signIn(pair)
    expect((await client.get(`${pair.app.url}/deliveries`)).status).toBe(401)
    expect((await post(pair, client, '/deliveries/1/replay')).status).toBe(401)
  })

  test('an operator presses nothing from another site, nor with another form token, nor without confirming', async () => {
    const pair = await withOne()
    const { client, press } = await signIn(pair)
    await pair.app.database.query
      .insertInto('replays')
      .values({ ...REPLAY, filter: '{"state":"parked"}' })
      .execute()
    for (const path of FORMS) {
      expect([path, (await post(pair, client, path, { confirmed: 'yes' })).status]).toEqual([path, 403])
      const foreign = { 'sec-fetch-site': 'cross-site' }
      const fields = { confirmed: 'yes', form_token: 'x' }
      expect([path, (await post(pair, client, path, fields, foreign)).status]).toEqual([path, 403])
    }
    for (const [path, question] of Object.entries(QUESTIONS)) {
      const asked = await press(path)
      expect([path, asked.status, asked.text]).toEqual([path, 200, expect.stringContaining(question)])
    }
    expect((await press('/operator/replays', { state: 'dead' })).status).toBe(400)
    expect(await pair.app.database.query.selectFrom('replays').select('state').execute()).toEqual([
      { state: expect.stringMatching(/^(running|done)$/) },
    ])
    expect(await stateOf(pair)).toBe('dead')
    expect((await press('/operator/deliveries/1/replay', { confirmed: 'yes' })).status).toBe(303)
    await until(async () => (await stateOf(pair)) !== 'dead')
  })

  test('an operator is signed out by the button, by twelve hours, and by another token', async () => {
    const pair = await withOne()
    const first = await signIn(pair)
    const copy = createClient()
    for (const [name, value] of first.client.cookies) copy.cookies.set(name, value)
    await first.press('/operator/sign-out')
    expect((await copy.get(`${pair.app.url}/operator`, BROWSER)).status).toBe(401)
    const second = await signIn(pair)
    const { url } = { url: pair.app.config.store }
    const databaseUrl = url.kind === 'sqlite' ? `sqlite:${url.path}` : url.url
    const other = await startPair({ databaseUrl, env: { OPERATOR_TOKEN: `${TOKEN}-of-tomorrow` } })
    const there = createClient()
    await post(other, there, '/operator/sign-in', { token: `${TOKEN}-of-tomorrow` })
    expect((await there.get(`${other.app.url}/operator`, BROWSER)).status).toBe(200)
    // Its cookie has another name here, because the app listens on another port.
    for (const name of there.cookies.keys())
      there.cookies.set(name, [...second.client.cookies.values()][0] ?? '')
    expect((await there.get(`${other.app.url}/operator`, BROWSER)).status).toBe(401)
    expect((await second.get('/operator')).status).toBe(200)
    pair.runtime.advance(12 * 3_600_000)
    expect((await second.get('/operator')).status).toBe(401)
  })

  test('what others wrote is text, on every page', async () => {
    const pair = await startOperated()
    const hostile = { name: HOSTILE, participant_id: HOSTILE, [HOSTILE]: HOSTILE }
    const body = Buffer.from(JSON.stringify({ id: HOSTILE, type: HOSTILE, data: hostile }))
    const told = { type: HOSTILE, envelope_id: HOSTILE, delivery_id: HOSTILE, organization_id: HOSTILE }
    await stored(pair.app.database.query, [
      row(1, { ...told, state: 'dead', last_error: HOSTILE, body }),
      row(2, {
        ...told,
        event_id: HOSTILE,
        state: 'pending',
        next_at: Date.now() + 1e6,
        last_error: HOSTILE,
        body,
      }),
    ])
    await connect(pair)
    const { query } = pair.app.database
    const calls = JSON.stringify([{ at: 1, ms: 1, what: HOSTILE, result: HOSTILE }])
    await query
      .insertInto('attempts')
      .values({ inbox_id: 1, started_at: 1, attempt: 1, outcome: 'dead', error: HOSTILE, calls })
      .execute()
    await query
      .insertInto('jobs')
      .values({
        platform: 'real',
        name: 'job',
        fence: 1,
        lease_until: 0,
        runs: 1,
        failed: 1,
        missed: 0,
        last_error: HOSTILE,
      })
      .execute()
    const filter = JSON.stringify({ state: 'dead', type: HOSTILE, provider: HOSTILE, event_id: HOSTILE })
    await query
      .insertInto('replays')
      .values({ ...REPLAY, filter })
      .execute()
    await query
      .updateTable('connections')
      .set({ event_id: HOSTILE, organization_id: HOSTILE, refresh_failure: 'upstream_error' })
      .execute()
    const { get, press } = await signIn(pair)
    const queries = [`q=${encodeURIComponent(HOSTILE)}`, `type=${encodeURIComponent(HOSTILE)}&state=dead`]
    const pages = [...PAGES, ...queries.map(query => `/operator/deliveries?${query}`)]
    const replies = [
      ...(await Promise.all(pages.map(get))),
      await press('/operator/deliveries/1/reveal'),
      await press('/operator/deliveries/1/replay'),
    ]
    const texts = replies.map(({ text }) => text)
    expect(texts[0]).toContain('&lt;script&gt;')
    for (const text of texts) {
      expect(text).not.toMatch(/<script>|<img|<\/bdi><script/)
      // Nor does it turn the text around it.
      const around = text.replaceAll(/<bdi[^>]*>.*?<\/bdi>/gs, '').replaceAll(/<[^>]*>/g, '')
      expect(around).not.toContain('\u202e')
    }
    expect(texts.at(-2)).toContain('&lt;script&gt;alert(1)')
    // And no page runs what is not ours, stands in a frame, or stays behind in the browser.
    for (const { headers } of replies) {
      expect(headers).toMatchObject({ 'cache-control': 'no-store', 'referrer-policy': 'no-referrer' })
      expect(headers['content-security-policy']).toMatch(/script-src 'self'; .*frame-ancestors 'none'/)
    }
  })
})

test('an event that the payload names is found by its id, and another is said to be nowhere', async () => {
  const pair = await withOne()
  const { get } = await signIn(pair)
  for (const q of ['1', 'delivery-1', 'DELIVERY-1'])
    expect([q, (await get(`/operator/deliveries?q=${q}`)).text]).toEqual([
      q,
      expect.stringContaining('</h1>'),
    ])
  expect((await get(`/operator/deliveries?q=${EVENT}`)).text).toContain('href="/operator/deliveries/1"')
  expect((await get('/operator/deliveries?q=evt_nowhere')).text).toContain('Nothing is known as')
})
