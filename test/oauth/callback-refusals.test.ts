import { describe, expect, test } from 'vitest'
import { createClient } from '../helpers/client.ts'
import { until } from '../helpers/wait.ts'
import {
  BROWSER,
  begin,
  comeBack,
  connect,
  expectError,
  expectErrorPage,
  type Pair,
  sharedPair,
  startPair,
  storedConnections,
} from './harness.ts'

/** Expects a refusal before anything was sent or stored. */
async function expectNothingHappened(pair: Pair): Promise<void> {
  expect(pair.upstream.requests).toEqual([])
  expect(await storedConnections(pair)).toEqual([])
}

const shared = sharedPair()
const OTHER = 'A'.repeat(43)

test.for<[string, string, string]>([
  ['no parameters', '', 'state_missing'],
  ['no state', 'code=c', 'state_missing'],
  ['an empty state', 'code=c&state=', 'state_missing'],
  ['an unknown state', `code=c&state=${OTHER}`, 'state_mismatch'],
  ['a state of another form', 'code=c&state=%27%20OR%201%3D1', 'state_mismatch'],
  ['an endless state', `code=c&state=${'s'.repeat(8000)}`, 'state_mismatch'],
  ['an unknown state and no code', `state=${OTHER}`, 'invalid_request'],
  ['a decline without a state', 'error=access_denied', 'access_denied'],
  ['a decline with an unknown state', `error=access_denied&state=${OTHER}`, 'access_denied'],
  ['another error without a state', 'error=server_error', 'state_missing'],
  ['another error with an unknown state', `error=server_error&state=${OTHER}`, 'state_mismatch'],
])('refuses %s', async ([, query, code]) => {
  const pair = await shared()
  const url = `${pair.app.url}/callback?${query}`
  expectError(pair, await createClient().get(url), 400, code)
  expectErrorPage(await createClient().get(url, BROWSER), 400, code)
  await expectNothingHappened(pair)
})

test.for<[string, (state: string) => string, string]>([
  ['a repeated state', s => `code=c&state=${s}&state=${s}`, 'invalid_request'],
  ['a repeated code', s => `code=c&code=d&state=${s}`, 'invalid_request'],
  ['a repeated name that nobody knows', s => `code=c&state=${s}&x=1&x=1`, 'invalid_request'],
  ['a code repeated in another spelling', s => `code=c&c%6Fde=d&state=${s}`, 'invalid_request'],
  ['a broken percent sign', s => `code=c%&state=${s}`, 'invalid_request'],
  ['bytes that are not UTF-8', s => `code=c&x=%C3%28&state=${s}`, 'invalid_request'],
  ['no code', s => `state=${s}`, 'invalid_request'],
  ['an empty code', s => `code=&state=${s}`, 'invalid_request'],
  ['a code with a line break', s => `code=c%0Ad&state=${s}`, 'invalid_request'],
  ['an endless code', s => `code=${'c'.repeat(2049)}&state=${s}`, 'invalid_request'],
  ['a code and an error', s => `code=c&error=access_denied&state=${s}`, 'invalid_request'],
])('refuses %s, and the flow can still be completed', async ([, query, code]) => {
  const pair = await shared()
  const { client, state } = await begin(pair)
  expectError(pair, await client.get(`${pair.app.url}/callback?${query(state)}`), 400, code)
  await expectNothingHappened(pair)
  expect((await comeBack(pair, client, { code: 'good-code', state })).status).toBe(200)
})

describe('a state', () => {
  test('a state from another browser is refused, with no cookie and with that browser\u2019s own', async () => {
    const pair = await startPair()
    const victim = await begin(pair)
    const attacker = await begin(pair)
    for (const client of [createClient(), victim.client])
      expectError(
        pair,
        await comeBack(pair, client, { code: 'c', state: attacker.state }),
        400,
        'state_mismatch',
      )
    await expectNothingHappened(pair)
  })

  test('a state is refused with the right cookie name and another value, and stays usable in its browser', async () => {
    const pair = await startPair()
    const { client, state } = await begin(pair)
    const [name = ''] = client.cookies.keys()
    for (const value of [OTHER, '', '%E0%A4%A', '"'])
      expectError(
        pair,
        await createClient().get(`${pair.app.url}/callback?code=c&state=${state}`, {
          cookie: `${name}=${value}`,
        }),
        400,
        'state_mismatch',
      )
    await expectNothingHappened(pair)
    expect((await comeBack(pair, client, { code: 'good-code', state })).status).toBe(200)
  })

  test('a state works once', async () => {
    const pair = await startPair()
    const { client, state } = await begin(pair)
    const cookies = new Map(client.cookies)
    await comeBack(pair, client, { code: 'good-code', state })
    const again = createClient()
    for (const [name, value] of cookies) again.cookies.set(name, value)
    expectError(pair, await comeBack(pair, again, { code: 'good-code', state }), 400, 'state_used')
    expect(pair.upstream.tokenRequests()).toHaveLength(1)
  })

  test('a state works until its last millisecond, and is told to have expired afterwards', async () => {
    const pair = await startPair({ env: { STATE_TTL_S: '60' } })
    const early = await begin(pair)
    const late = await begin(pair)
    pair.runtime.advance(50_000)
    expect((await comeBack(pair, early.client, { code: 'c', state: early.state })).status).toBe(200)
    pair.runtime.advance(10_001)
    expectError(
      pair,
      await comeBack(pair, late.client, { code: 'c', state: late.state }),
      400,
      'state_expired',
    )
    expect(pair.upstream.tokenRequests()).toHaveLength(1)
  })

  test('a state that expired long ago is forgotten', async () => {
    const pair = await startPair()
    const { client, state } = await begin(pair)
    pair.runtime.pass(600_000 + 3_600_001)
    await until(
      async () => (await pair.app.database.query.selectFrom('flows').selectAll().execute()).length === 0,
    )
    expectError(pair, await comeBack(pair, client, { code: 'c', state }), 400, 'state_mismatch')
  })

  test('of two callbacks with one state that come together one is exchanged', async () => {
    const pair = await startPair()
    const { client, state } = await begin(pair)
    const cookie = [...client.cookies].map(pairOf => pairOf.join('=')).join('; ')
    const both = await Promise.all(
      Array.from({ length: 8 }, () =>
        createClient().get(`${pair.app.url}/callback?code=c&state=${state}`, { cookie }),
      ),
    )
    expect(both.filter(reply => reply.status === 200)).toHaveLength(1)
    for (const reply of both.filter(r => r.status !== 200)) expectError(pair, reply, 400, 'state_used')
    expect(pair.upstream.tokenRequests()).toHaveLength(1)
  })
})

test.for<[string, number, string]>([
  ['access_denied', 400, 'access_denied'],
  ['server_error', 502, 'upstream_error'],
  ['temporarily_unavailable', 502, 'upstream_error'],
  ['invalid_scope', 502, 'configuration_error'],
  ['unauthorized_client', 502, 'configuration_error'],
  ['unsupported_response_type', 502, 'configuration_error'],
  ['invalid_request', 400, 'event_rejected'],
  ['<script>alert(1)</script>', 400, 'event_rejected'],
])('the error %s of the consent screen answers %i %s and ends the flow', async ([error, status, code]) => {
  const pair = await startPair()
  const { client, state } = await begin(pair)
  const cookies = new Map(client.cookies)
  const description = { error_description: 'words-of-the-url' }
  const reply = await comeBack(pair, client, { error, state, ...description })
  expectError(pair, reply, status, code)
  expect(reply.text).not.toMatch(/script|words-of-the-url/)
  await expectNothingHappened(pair)
  for (const [name, value] of cookies) client.cookies.set(name, value)
  expectError(pair, await comeBack(pair, client, { code: 'c', state }), 400, 'state_used')
})

test('an event id that Revento refuses can be corrected where it stands', async () => {
  const pair = await startPair()
  const { client, state } = await begin(pair, createClient(), '?event_id=evt_mistyped')
  const url = `${pair.app.url}/callback?${new URLSearchParams({ error: 'invalid_request', state })}`
  const page = await client.get(url, BROWSER)
  expectErrorPage(page, 400, 'event_rejected')
  expect(page.text).toContain('Check the event id')
  expect(page.text).toContain('name="event_id" value="evt_mistyped"')
  expect(pair.app.log).toContainEqual(
    expect.objectContaining({ error: 'event_rejected', reason: 'invalid_request' }),
  )
})

test('a browser that has connected before keeps its session when a later flow fails', async () => {
  const pair = await startPair()
  const { client } = await connect(pair)
  const { state } = await begin(pair, client)
  await comeBack(pair, client, { error: 'access_denied', state })
  const reply = await client.get(`${pair.app.url}/participants?event_id=evt_test_published`)
  expect(reply.status).toBe(200)
})

test.for(['HEAD', 'POST'])('%s exchanges nothing and leaves the state usable', async method => {
  const pair = await startPair()
  const { client, state } = await begin(pair)
  const cookie = [...client.cookies].map(pairOf => pairOf.join('=')).join('; ')
  const url = `${pair.app.url}/callback?code=c&state=${state}`
  expect((await fetch(url, { method, headers: { cookie } })).status).toBe(405)
  await expectNothingHappened(pair)
  expect((await comeBack(pair, client, { code: 'good-code', state })).status).toBe(200)
})
