import { expect, test } from 'vitest'
import { sessionCookie } from '../helpers/client.ts'
import { type Answer, json, tokens } from '../helpers/upstream.ts'
import {
  BROWSER,
  begin,
  comeBack,
  expectError,
  expectErrorPage,
  sharedPair,
  startPair,
  storedConnections,
  UPSTREAM_TEXT,
} from './harness.ts'

const shared = sharedPair()

const failure = (error: string) => ({ error, message: UPSTREAM_TEXT, error_description: UPSTREAM_TEXT })
const raw =
  (status: number, body: string | Buffer, headers: Record<string, string> = {}): Answer =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
  }
const half = JSON.stringify(tokens({ note: UPSTREAM_TEXT })).slice(0, -20)
const reset: Answer = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
  response.write(half, () => response.socket?.resetAndDestroy())
}
const twoMegabytes = JSON.stringify(tokens({ note: UPSTREAM_TEXT, filling: 'x'.repeat(2 * 1024 * 1024) }))
const tokensWith = (change: Record<string, unknown>) => json(200, tokens({ note: UPSTREAM_TEXT, ...change }))

const rows: [string, Answer, number, string][] = [
  ['400 invalid_grant', json(400, failure('invalid_grant')), 400, 'code_rejected'],
  ['401 invalid_grant', json(401, failure('invalid_grant')), 400, 'code_rejected'],
  ['500 invalid_grant', json(500, failure('invalid_grant')), 502, 'upstream_error'],
  [
    '401 invalid_client with a challenge',
    json(401, failure('invalid_client'), { 'www-authenticate': `Basic realm="${UPSTREAM_TEXT}"` }),
    502,
    'configuration_error',
  ],
  ['400 invalid_client', json(400, failure('invalid_client')), 502, 'configuration_error'],
  ['400 unauthorized_client', json(400, failure('unauthorized_client')), 502, 'configuration_error'],
  ['400 invalid_request', json(400, failure('invalid_request')), 502, 'upstream_error'],
  ['400 with another type of error', json(400, { error: { code: 'invalid_grant' } }), 502, 'upstream_error'],
  ['400 HTML', raw(400, `<h1>${UPSTREAM_TEXT}</h1>`, { 'content-type': 'text/html' }), 502, 'upstream_error'],
  ['401 with nothing', raw(401, ''), 502, 'upstream_error'],
  ['429', json(429, failure('rate_limit_exceeded'), { 'retry-after': '1' }), 502, 'upstream_error'],
  ['500', json(500, failure('internal')), 502, 'upstream_error'],
  ['500 that looks like tokens', json(500, tokens()), 502, 'upstream_error'],
  ['201 that looks like tokens', json(201, tokens()), 502, 'upstream_error'],
  ['204', (_request, response) => void response.writeHead(204).end(), 502, 'upstream_error'],
  ['a reset in the middle of the answer', reset, 502, 'upstream_error'],
  ['a reset without an answer', (_request, response) => void response.destroy(), 502, 'upstream_error'],
  ['200 HTML', raw(200, `<p>${UPSTREAM_TEXT}</p>`, { 'content-type': 'text/html' }), 502, 'upstream_error'],
  ['200 with nothing', raw(200, ''), 502, 'upstream_error'],
  ['truncated JSON', raw(200, half), 502, 'upstream_error'],
  ['an array', json(200, [tokens({ note: UPSTREAM_TEXT })]), 502, 'upstream_error'],
  ['null', json(200, null), 502, 'upstream_error'],
  ['a body that says it is compressed', raw(200, 'x', { 'content-encoding': 'gzip' }), 502, 'upstream_error'],
  ['2 MB', raw(200, twoMegabytes), 502, 'upstream_error'],
  ['no access_token', tokensWith({ access_token: undefined }), 502, 'upstream_error'],
  ['an empty access_token', tokensWith({ access_token: '' }), 502, 'upstream_error'],
  ['an access_token that is a number', tokensWith({ access_token: 7 }), 502, 'upstream_error'],
  ['an access_token with a line break', tokensWith({ access_token: 'a\r\nx: y' }), 502, 'upstream_error'],
  ['no refresh_token', tokensWith({ refresh_token: undefined }), 502, 'upstream_error'],
  ['a refresh_token that is null', tokensWith({ refresh_token: null }), 502, 'upstream_error'],
  ['a refresh_token that is an object', tokensWith({ refresh_token: {} }), 502, 'upstream_error'],
  ['a token type of another kind', tokensWith({ token_type: 'mac' }), 502, 'upstream_error'],
  ['no event_id', tokensWith({ event_id: undefined }), 502, 'upstream_error'],
  ['an event_id that is a number', tokensWith({ event_id: 1 }), 502, 'upstream_error'],
  ['an event_id with a path', tokensWith({ event_id: '../admin' }), 502, 'upstream_error'],
  ['an event_id that is an array', tokensWith({ event_id: ['evt_test_published'] }), 502, 'upstream_error'],
  ['no organization_id', tokensWith({ organization_id: undefined }), 502, 'upstream_error'],
  ['an organization_id with a path', tokensWith({ organization_id: 'org/../x' }), 502, 'upstream_error'],
  ['another event', tokensWith({ event_id: 'evt_other' }), 400, 'event_mismatch'],
]

test.for(rows)('$0: $2 $3', async ([, answer, status, code]) => {
  const pair = await shared()
  const { client, state } = await begin(pair)
  pair.upstream.onToken = answer
  const reply = await comeBack(pair, client, { code: 'good-code', state })
  expectError(pair, reply, status, code)
  expect(pair.upstream.requests.map(r => r.path)).toEqual(['/oauth/token'])
  expect(await storedConnections(pair)).toEqual([])
  expect(sessionCookie(client).name).toBe('')

  const again = await begin(pair, client)
  expectErrorPage(
    await comeBack(pair, client, { code: 'good-code', state: again.state }, BROWSER),
    status,
    code,
  )
})

test.for([301, 302, 303, 307, 308])('a %i is not followed: the secret goes nowhere else', async status => {
  const pair = await shared()
  const { client, state } = await begin(pair)
  pair.upstream.onToken = json(status, {}, { location: `${pair.upstream.authBase}/elsewhere` })
  expectError(pair, await comeBack(pair, client, { code: 'c', state }), 502, 'upstream_error')
  expect(pair.upstream.requests.map(r => r.path)).toEqual(['/oauth/token'])
})

test('nobody listening: 502 upstream_error', async () => {
  const pair = await startPair({ authBase: 'http://127.0.0.1:9' })
  const { client, state } = await begin(pair)
  expectError(pair, await comeBack(pair, client, { code: 'c', state }), 502, 'upstream_error')
})

test.for<[string, Record<string, unknown>]>([
  ['token_type', { token_type: undefined }],
  ['expires_in', { expires_in: undefined, refresh_expires_in: undefined }],
  ['scope', { scope: undefined }],
  ['them as null', { token_type: null, expires_in: null, scope: null }],
  ['anything known as OpenID', { id_token: 'not-a-jwt' }],
])('an answer without %s is tolerated', async ([, change]) => {
  const pair = await shared()
  const { client, state } = await begin(pair)
  pair.upstream.onToken = json(200, tokens(change))
  expect((await comeBack(pair, client, { code: 'c', state })).status).toBe(200)
  const [row] = await storedConnections(pair)
  expect(row?.access_expires_at).toBeLessThanOrEqual(pair.runtime.now() + 3_600_000)
  expect(row?.access_expires_at).toBeGreaterThan(pair.runtime.now() + 3_500_000)
})

test('a lifetime longer than documented is not believed', async () => {
  const pair = await shared()
  const { client, state } = await begin(pair)
  pair.upstream.onToken = json(200, tokens({ expires_in: 1e12, refresh_expires_in: 1e12 }))
  await comeBack(pair, client, { code: 'c', state })
  const [row] = await storedConnections(pair)
  expect(row?.access_expires_at).toBeLessThanOrEqual(pair.runtime.now() + 3_600_000)
  expect(row?.refresh_expires_at).toBeLessThanOrEqual(pair.runtime.now() + 7_776_000_000)
})

test('parameters of the callback that nobody knows are ignored', async () => {
  const pair = await shared()
  const { client, state } = await begin(pair)
  const unknown = {
    iss: 'https://other.example',
    response: 'x',
    id_token: 'x',
    token: 'x',
    session_state: 'x',
  }
  const reply = await comeBack(pair, client, { code: 'good-code', state, ...unknown })
  expect(reply.status).toBe(200)
})
