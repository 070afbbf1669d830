import { expect, test } from 'vitest'
import { createClient, sessionCookie } from '../helpers/client.ts'
import { json, tokens } from '../helpers/upstream.ts'
import { begin, comeBack, connect, expectError, startPair, storedConnections } from './harness.ts'

const attributes = (line: string) =>
  line
    .split('; ')
    .slice(1)
    .map(a => a.toLowerCase())
    .toSorted()

test('the flow cookie is for this flow, this host, and no script', async () => {
  const pair = await startPair({ env: { STATE_TTL_S: '300' } })
  const { reply } = await begin(pair)
  const lines = [reply.headers['set-cookie'] ?? []].flat()
  expect(lines).toHaveLength(1)
  expect(lines[0]).toMatch(/^[0-9a-f]{8}_flow_[A-Za-z0-9_-]{16}=[A-Za-z0-9_-]{43};/)
  expect(attributes(lines[0] ?? '')).toEqual(['httponly', 'max-age=3900', 'path=/', 'samesite=lax'])
})

test('on https the cookies are Secure and __Host-, whatever the socket is', async () => {
  const pair = await startPair({ env: { REVENTO_REDIRECT_URI: 'https://app.example/callback' } })
  const { client, reply, state } = await begin(pair)
  const flow = String(reply.headers['set-cookie'])
  expect(flow).toMatch(/^__Host-[0-9a-f]{8}_flow_/)
  expect(attributes(flow)).toEqual(['httponly', 'max-age=4200', 'path=/', 'samesite=lax', 'secure'])
  const back = await comeBack(pair, client, { code: 'good-code', state })
  expect(back.status).toBe(200)
  const lines = [back.headers['set-cookie'] ?? []].flat()
  expect(lines).toHaveLength(2)
  for (const line of lines) {
    expect(line).toMatch(/^__Host-/)
    expect(attributes(line)).toEqual(expect.arrayContaining(['httponly', 'path=/', 'samesite=lax', 'secure']))
  }
})

test('a flow that came back leaves no cookie, however it ended', async () => {
  const pair = await startPair()
  const client = createClient()
  for (const answer of [{ code: 'good-code' }, { error: 'access_denied' }, { error: 'server_error' }]) {
    const { state } = await begin(pair, client)
    await comeBack(pair, client, { ...answer, state })
  }
  pair.upstream.onToken = json(500, {})
  await comeBack(pair, client, { code: 'good-code', state: (await begin(pair, client)).state })
  expect([...client.cookies.keys()]).toEqual([sessionCookie(client).name])
})

test('of flows that never come back ten leave a cookie, and the newest of them can be completed', async () => {
  const pair = await startPair()
  const client = createClient()
  const flows: Awaited<ReturnType<typeof begin>>[] = []
  for (let n = 0; n < 25; n++) flows.push(await begin(pair, client))
  expect(client.cookies.size).toBe(10)
  const back = (n: number) => comeBack(pair, client, { code: 'good-code', state: flows.at(n)?.state ?? '' })
  expectError(pair, await back(-11), 400, 'state_mismatch')
  expect([(await back(-10)).status, (await back(-1)).status]).toEqual([200, 200])
})

test('two copies on one host end neither the sessions nor the flows of each other', async () => {
  const [one, two] = [await startPair(), await startPair()]
  const client = createClient()
  const [early, late] = [await begin(one, client), await begin(two, client)]
  for (let n = 0; n < 12; n++) await begin(two, client)
  const first = await comeBack(one, client, { code: 'good-code', state: early.state })
  await connect(two, client)
  expect([first.status, late.reply.status]).toEqual([200, 302])
  for (const pair of [one, two]) expect((await client.get(`${pair.app.url}/deliveries`)).status).toBe(200)
})

test('two tabs of one browser both complete, in either order', async () => {
  const pair = await startPair()
  const client = createClient()
  const first = await begin(pair, client, '?event_id=evt_first')
  const second = await begin(pair, client, '?event_id=evt_second')
  pair.upstream.onToken = json(200, tokens({ event_id: 'evt_second' }))
  expect((await comeBack(pair, client, { code: 'c2', state: second.state })).status).toBe(200)
  pair.upstream.onToken = json(200, tokens({ event_id: 'evt_first' }))
  expect((await comeBack(pair, client, { code: 'c1', state: first.state })).status).toBe(200)
  const events = (await storedConnections(pair)).map(row => row.event_id)
  expect(new Set(events)).toEqual(new Set(['evt_first', 'evt_second']))
  const verifiers = pair.upstream.tokenRequests().map(r => r.form.get('code_verifier'))
  expect(new Set(verifiers).size).toBe(2)
})

test('a real browser that comes back once more is told that the link was used, or that it expired', async () => {
  const pair = await startPair()
  const { client, state } = await begin(pair)
  expect((await comeBack(pair, client, { code: 'good-code', state })).status).toBe(200)
  expectError(pair, await comeBack(pair, client, { code: 'good-code', state }), 400, 'state_used')
  const late = await begin(pair, client)
  pair.runtime.advance(601_000)
  expectError(
    pair,
    await comeBack(pair, client, { code: 'good-code', state: late.state }),
    400,
    'state_expired',
  )
  expect(pair.upstream.tokenRequests()).toHaveLength(1)
})

test('callbacks of one browser at once keep every connection', async () => {
  const pair = await startPair()
  const client = createClient()
  await comeBack(pair, client, { code: 'c', state: (await begin(pair, client)).state })
  const events = ['evt_c', 'evt_d', 'evt_e', 'evt_f', 'evt_g', 'evt_h']
  const tabs = await Promise.all(events.map(event => begin(pair, client, `?event_id=${event}`)))
  pair.upstream.onToken = (request, response) => {
    const event_id = request.form.get('code') ?? ''
    json(200, tokens({ event_id }))(request, response)
  }
  const back = ({ state }: { state: string }, n: number) =>
    comeBack(pair, client, { code: events[n] ?? '', state })
  const replies = await Promise.all(tabs.map(back))
  expect(replies.map(reply => reply.status)).toEqual(events.map(() => 200))
  for (const event of ['evt_test_published', ...events])
    expect((await client.get(`${pair.app.url}/participants?event_id=${event}`)).status).toBe(200)
})
