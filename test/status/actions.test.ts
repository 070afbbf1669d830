import { expect, test } from 'vitest'
import { type Client, createClient, sessionCookie } from '../helpers/client.ts'
import { emptyPage, json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import {
  BROWSER,
  connect,
  EVENT,
  expectError,
  knows,
  type Pair,
  participantsUrl,
  startPair,
  storedConnections,
} from '../oauth/harness.ts'

const ORGANIZATION = 'org_test_formal'
const KEY = { event_id: EVENT, organization_id: ORGANIZATION }

const tokenOf = async (pair: Pair, client: Client) => {
  const { text } = await client.get(`${pair.app.url}/`, BROWSER)
  return /name="form_token" value="([^"]+)"/.exec(text)?.[1] ?? ''
}

/** A form of the page, sent as a browser sends it; `change` and `headers` break it. */
async function press(
  pair: Pair,
  client: Client,
  path: string,
  fields: Record<string, string> = {},
  headers: Record<string, string> = {},
) {
  const form_token = 'form_token' in fields ? fields['form_token'] : await tokenOf(pair, client)
  return client.post(
    pair.app.url + path,
    new URLSearchParams({ ...fields, form_token: form_token ?? '' }).toString(),
    {
      'content-type': 'application/x-www-form-urlencoded',
      origin: 'null',
      'sec-fetch-site': 'same-origin',
      ...headers,
    },
  )
}

/** Two browsers, each with an event of its own, and a dead delivery of the first. */
async function stage() {
  const pair = await startPair()
  const { client: one } = await connect(pair)
  pair.upstream.onToken = json(200, tokens({ event_id: 'evt_two' }))
  const { client: two } = await connect(pair, createClient(), '?event_id=evt_two')
  const { body, headers } = signedDelivery({ event: { type: 'activity.updated' } })
  await one.post(`${pair.app.url}/webhooks/revento`, body, headers)
  const delivery = await until(async () => {
    const { data } = (await one.get(`${pair.app.url}/deliveries`)).json<{
      data: { id: string; state: string }[]
    }>()
    return data.find(d => d.state === 'done')
  })
  const dead = { state: 'dead', attempts: 8, last_error: 'Error: <script>alert(1)</script>' } as const
  await pair.app.database.query.updateTable('outcomes').set(dead).execute()
  const stateNow = async () =>
    (await pair.app.database.query.selectFrom('inbox').select('state').execute())[0]?.state
  return { pair, one, two, id: delivery.id, stateNow }
}

test('Replay runs a dead delivery again, once however often it is pressed', async () => {
  const { pair, one, id, stateNow } = await stage()
  // part: page {
  const page = await one.get(`${pair.app.url}/`, BROWSER)
  expect(page.text).toContain(`action="/deliveries/${id}/replay"`)
  // part: page }
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => press(pair, one, `/deliveries/${id}/replay`)),
  )
  expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409, 409, 409, 409])
  const refused = answers.find(({ status }) => status === 409)
  if (refused) expectError(pair, refused, 409, 'not_replayable')
  await until(async () => (await stateNow()) === 'done')
  expect((await one.get(`${pair.app.url}/`, BROWSER)).text).not.toContain('/replay"')
})

test('a browser is sent back to where the button was', async () => {
  const { pair, one, id, stateNow } = await stage()
  const again = async (from: string) => {
    const { status, headers } = await press(pair, one, `/deliveries/${id}/replay`, { from }, BROWSER)
    await until(async () => (await stateNow()) === 'done')
    await pair.app.database.query.updateTable('outcomes').set({ state: 'dead' }).execute()
    return [status, headers['location']]
  }
  expect(await again('page')).toEqual([303, '/'])
  expect(await again('story')).toEqual([303, `/deliveries/${id}`])
  expect(await again('https://stranger.example/')).toEqual([303, '/'])
})

test.for<[string, Record<string, string>, Record<string, string>]>([
  ['no token', { form_token: '' }, {}],
  ['a made-up token', { form_token: 'A'.repeat(43) }, {}],
  ['a request from another site', {}, { 'sec-fetch-site': 'cross-site' }],
  ['a request from another origin of this site', {}, { 'sec-fetch-site': 'same-site' }],
  ['a request that was typed in', {}, { 'sec-fetch-site': 'none' }],
])('with %s nothing happens', async ([, fields, headers]) => {
  const { pair, one, id, stateNow } = await stage()
  for (const path of [`/deliveries/${id}/replay`, '/disconnect', '/logout'])
    expectError(pair, await press(pair, one, path, { ...KEY, ...fields }, headers), 403, 'form_rejected')
  expect(await stateNow()).toBe('dead')
  expect((await storedConnections(pair)).map(c => c.state)).toEqual(['connected', 'connected'])
  expect((await one.get(participantsUrl(pair))).status).toBe(200)
})

test('another session\u2019s token is worth nothing', async () => {
  const { pair, one, two, id } = await stage()
  const form_token = await tokenOf(pair, two)
  expectError(pair, await press(pair, one, `/deliveries/${id}/replay`, { form_token }), 403, 'form_rejected')
})

test.for<[string | undefined, number]>([
  ['own', 303],
  ['null', 303],
  ['https://stranger.example', 403],
  ['http://localhost:1', 403],
  [undefined, 403],
])('where a browser does not say Sec-Fetch-Site, Origin %s gives %s', async ([origin, status]) => {
  const pair = await startPair()
  const { client } = await connect(pair)
  const form_token = await tokenOf(pair, client)
  const from = origin === 'own' ? pair.app.url : origin
  const reply = await client.post(`${pair.app.url}/logout`, `form_token=${form_token}`, {
    ...BROWSER,
    'content-type': 'application/x-www-form-urlencoded',
    ...(from === undefined ? {} : { origin: from }),
  })
  expect(reply.status).toBe(status)
})

test('on https Origin null is not enough', async () => {
  const env = { REVENTO_REDIRECT_URI: 'https://app.example/callback' }
  const pair = await startPair({ env })
  const { client } = await connect(pair)
  const form_token = await tokenOf(pair, client)
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  const ask = (origin: string) =>
    client.post(`${pair.app.url}/logout`, `form_token=${form_token}`, { ...type, origin })
  expectError(pair, await ask('null'), 403, 'form_rejected')
  expect((await ask('https://app.example')).status).toBe(200)
})

test.for(['application/json', 'text/plain', 'multipart/form-data; boundary=x'])(
  '%s is no form',
  async type => {
    const pair = await startPair()
    const { client } = await connect(pair)
    const reply = await client.post(`${pair.app.url}/logout`, '{}', {
      'content-type': type,
      'sec-fetch-site': 'same-origin',
    })
    expectError(pair, reply, 415, 'unsupported_media_type')
  },
)

test('without a session every button answers 401, and the question too', async () => {
  const { pair, id } = await stage()
  for (const path of [`/deliveries/${id}/replay`, '/disconnect', '/logout'])
    expectError(pair, await press(pair, createClient(), path, { form_token: 'x' }), 401, 'unauthenticated')
  expectError(pair, await createClient().get(`${pair.app.url}/disconnect`), 401, 'unauthenticated') // part: page
})

test('another\u2019s delivery and connection answer exactly like those that do not exist', async () => {
  const { pair, two, id, stateNow } = await stage()
  const bare = (text: string) => text.replace(/[0-9a-f-]{36}/, 'id')
  const same = async (theirs: Promise<{ status: number; text: string }>, none: typeof theirs) => {
    expect((await theirs).status).toBe(404)
    expect(bare((await theirs).text)).toBe(bare((await none).text))
  }
  const [mine, nobodys] = [`/deliveries/${id}`, '/deliveries/4711']
  await same(two.get(pair.app.url + mine), two.get(pair.app.url + nobodys))
  await same(two.get(pair.app.url + mine, BROWSER), two.get(pair.app.url + nobodys, BROWSER))
  await same(press(pair, two, `${mine}/replay`), press(pair, two, `${nobodys}/replay`))
  const other = { event_id: 'evt_nowhere', organization_id: 'org_x' }
  // part: page {
  const question = (key: Record<string, string>) =>
    two.get(`${pair.app.url}/disconnect?${new URLSearchParams(key)}`)
  await same(question(KEY), question(other))
  // part: page }
  await same(press(pair, two, '/disconnect', KEY), press(pair, two, '/disconnect', other))
  expect(await stateNow()).toBe('dead')
  expect((await storedConnections(pair)).map(c => c.state)).toEqual(['connected', 'connected'])
})

test('Disconnect asks first, then destroys the tokens of that connection and of no other', async () => {
  const { pair, one } = await stage()
  // part: page {
  const question = await one.get(`${pair.app.url}/disconnect?${new URLSearchParams(KEY)}`, BROWSER)
  expect(question.text).toContain('At Revento the permission stays.')
  // part: page }
  pair.upstream.requests.length = 0
  const { status, headers } = await press(pair, one, '/disconnect', KEY, BROWSER)
  expect([status, headers['location']]).toEqual([303, '/'])
  const rows = await storedConnections(pair)
  expect(rows.find(c => c.event_id === EVENT)).toMatchObject({
    state: 'revoked',
    reason: 'disconnected',
    access_token: null,
    refresh_token: null,
  })
  expect(rows.find(c => c.event_id === 'evt_two')).toMatchObject({
    state: 'connected',
    access_token: expect.anything(),
  })
  // part: page {
  const page = await one.get(`${pair.app.url}/`, BROWSER)
  expect(page.text).toContain('Disconnected here')
  // part: page }
  expect((await one.get(participantsUrl(pair))).json()).toMatchObject({ error: 'revoked' })
  expect((await press(pair, one, '/disconnect', KEY, BROWSER)).status).toBe(303)
})

test('a refresh that is under way does not bring a disconnected connection back', async () => {
  const pair = await startPair()
  const { client } = await connect(pair)
  const form_token = await tokenOf(pair, client)
  pair.upstream.onApi = knows('nobody')
  const asked = Promise.withResolvers<void>()
  const answer = Promise.withResolvers<void>()
  pair.upstream.onToken = (request, response) => {
    asked.resolve()
    void answer.promise.then(() => json(200, tokens())(request, response))
  }
  const call = client.get(participantsUrl(pair))
  await asked.promise
  expect((await press(pair, client, '/disconnect', { ...KEY, form_token })).status).toBe(200)
  pair.upstream.onApi = json(200, emptyPage)
  answer.resolve()
  expect((await call).json()).toMatchObject({ error: 'revoked' })
  expect(await storedConnections(pair)).toMatchObject([
    { state: 'revoked', access_token: null, refresh_token: null },
  ])
})

test('a log-out ends the session at the server: a copy of its cookie is worth nothing', async () => {
  const pair = await startPair()
  const { client } = await connect(pair)
  const copy = createClient()
  for (const [name, value] of client.cookies) copy.cookies.set(name, value)
  const { status, headers } = await press(pair, client, '/logout', {}, BROWSER)
  expect([status, headers['location']]).toEqual([303, '/'])
  expect(sessionCookie(client).name).toBe('')
  expectError(pair, await copy.get(participantsUrl(pair)), 401, 'unauthenticated')
  expect((await client.get(`${pair.app.url}/`, BROWSER)).text).toContain('Connect a Revento event')
  expect((await storedConnections(pair)).map(c => c.state)).toEqual(['connected'])
})
