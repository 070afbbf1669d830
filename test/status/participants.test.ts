import { expect, test } from 'vitest'
import { createClient, sessionCookie } from '../helpers/client.ts'
import { type Answer, emptyPage, json, tokens } from '../helpers/upstream.ts'
import {
  connect,
  EVENT,
  expectError,
  type Pair,
  participantsUrl,
  sharedPair,
  startPair,
  UPSTREAM_TEXT,
} from '../oauth/harness.ts'

const shared = sharedPair()

async function connected() {
  const pair = await shared()
  const { client } = await connect(pair)
  pair.upstream.requests.length = 0
  const ask = (query: string) => client.get(`${pair.app.url}/participants?${query}`)
  return { pair, client, ask }
}

/** Two browsers, each with an event of its own. */
async function twoBrowsers(pair: Pair) {
  const one = await connect(pair)
  pair.upstream.onToken = json(200, tokens({ event_id: 'evt_two' }))
  const two = await connect(pair, createClient(), '?event_id=evt_two')
  pair.upstream.requests.length = 0
  return { one: one.client, two: two.client }
}

test.for<[string, string]>([
  ['no session', ''],
  ['an empty session', 'SESSION='],
  ['a made-up session', `SESSION=${'A'.repeat(43)}`],
  ['a session of another form', 'SESSION=../../etc/passwd'],
  ['an SQL fragment', "SESSION=' or 1=1 --"],
  ['another cookie', `session=${'A'.repeat(43)}`],
])('with %s: 401 and no call', async ([, given]) => {
  const { pair, client } = await connected()
  const cookie = given.replace('SESSION', sessionCookie(client).name)
  const reply = await createClient().get(participantsUrl(pair), cookie ? { cookie } : {})
  expectError(pair, reply, 401, 'unauthenticated')
  expect(pair.upstream.requests).toEqual([])
})

test('a session with one letter changed, or with its stored hash as the cookie, is none', async () => {
  const { pair, client } = await connected()
  const { name, value: session } = sessionCookie(client)
  const [row] = await pair.app.database.query.selectFrom('sessions').selectAll().execute()
  const changed = (session[0] === 'A' ? 'B' : 'A') + session.slice(1)
  for (const forged of [changed, row?.id_hash ?? '', session.toLowerCase(), `${session}A`]) {
    const reply = await createClient().get(participantsUrl(pair), { cookie: `${name}=${forged}` })
    expectError(pair, reply, 401, 'unauthenticated')
  }
  const right = await createClient().get(participantsUrl(pair), { cookie: `${name}=${session}` })
  expect(right.status).toBe(200)
})

test('another session\u2019s event answers exactly like one that does not exist', async () => {
  const pair = await startPair()
  const { one, two } = await twoBrowsers(pair)
  const withoutId = (text: string) => text.replace(/[0-9a-f-]{36}/, 'id')
  const others = await one.get(participantsUrl(pair, 'evt_two'))
  const nobodys = await one.get(participantsUrl(pair, 'evt_nowhere'))
  expectError(pair, others, 404, 'not_found')
  expect(withoutId(others.text)).toBe(withoutId(nobodys.text))
  expect(pair.upstream.requests).toEqual([])
  expect((await two.get(participantsUrl(pair, 'evt_two'))).status).toBe(200)
})

test.for(['', 'event_id=', 'event_id=../x', 'event_id=evt%00', 'event_id=EVT_TEST_PUBLISHED'])(
  'the event asked for as "%s" is not found',
  async query => {
    const { pair, ask } = await connected()
    expectError(pair, await ask(query), 404, 'not_found')
    expect(pair.upstream.requests).toEqual([])
  },
)

test('/participants sends cursor and limit to Revento as they are, and its page comes back as it is', async () => {
  const { pair, ask } = await connected()
  const page = { data: [{ id: 'ptp_1', a: [1, null] }], next_cursor: 'n/e=x+t &', has_more: true, extra: 1 }
  pair.upstream.onApi = json(200, page)
  const cursor = 'o/p=a+q ue&limit=50'
  const reply = await ask(new URLSearchParams({ event_id: EVENT, cursor, limit: '7' }).toString())
  expect(reply.json()).toEqual(page)
  expect(reply.headers['cache-control']).toBe('no-store')
  const [call] = pair.upstream.apiRequests()
  expect(call?.path).toBe(`/api/v1/events/${EVENT}/participants`)
  expect([...(call?.query ?? [])].length).toBe(2)
  expect(Object.fromEntries(call?.query ?? [])).toEqual({ cursor, limit: '7' })
})

test('without a limit /participants sends none', async () => {
  const { pair, ask } = await connected()
  expect((await ask(`event_id=${EVENT}`)).json()).toEqual(emptyPage)
  expect([...(pair.upstream.apiRequests()[0]?.query ?? [])]).toEqual([])
})

test.for([
  ...['0', '51', '-1', '1.5', 'ten', '', '1e1', '%31%30%30', '0x10'].map(limit => `limit=${limit}`),
  'limit=1&limit=2',
  'cursor=a&cursor=b',
  'event_id=evt_other',
  'cursor=%',
  'cursor=%FF',
])('&%s is refused before anything is sent', async query => {
  const { pair, ask } = await connected()
  expectError(pair, await ask(`event_id=${EVENT}&${query}`), 400, 'invalid_request')
  expect(pair.upstream.requests).toEqual([])
})

test.for(['1', '50'])('/participants takes limit=%s', async limit => {
  const { pair, ask } = await connected()
  expect((await ask(`event_id=${EVENT}&limit=${limit}`)).status).toBe(200)
  expect(pair.upstream.apiRequests()[0]?.query.get('limit')).toBe(limit)
})

const words = { message: UPSTREAM_TEXT }
test.for<[string, Answer, number, string]>([
  ['400', json(400, { error: 'invalid_cursor', ...words }), 400, 'invalid_request'],
  ['403', json(403, { error: 'event_not_authorized', ...words }), 502, 'upstream_error'],
  ['404', json(404, { error: 'not_found', ...words }), 502, 'upstream_error'],
  ['429', json(429, { error: 'concurrent_limit_exceeded', ...words }), 502, 'upstream_error'],
  ['500', json(500, { error: 'internal', ...words }), 502, 'upstream_error'],
  ['500 that claims to be of ours', json(500, { error: 'configuration_error' }), 502, 'upstream_error'],
  ['401 that claims to be of ours', json(401, { error: 'reconsent_required' }), 502, 'upstream_error'],
  ['302', json(302, {}, { location: 'http://127.0.0.1:9/' }), 502, 'upstream_error'],
  ['a page without data', json(200, { has_more: false }), 502, 'upstream_error'],
  [
    'a page with a cursor that is a number',
    json(200, { ...emptyPage, next_cursor: 5 }),
    502,
    'upstream_error',
  ],
  ['a page of strings', json(200, { ...emptyPage, data: ['x'] }), 502, 'upstream_error'],
  ['a reset', (_request, response) => void response.destroy(), 502, 'upstream_error'],
])('Revento answers $0: $2 $3', async ([, answer, status, code]) => {
  const { pair, ask } = await connected()
  pair.upstream.onApi = answer
  expectError(pair, await ask(`event_id=${EVENT}`), status, code)
})
