import { expect, test } from 'vitest'
import type { Reply } from '../helpers/client.ts'
import { type Answer, json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import {
  begin,
  comeBack,
  connect,
  expectError,
  knows,
  type Pair,
  participantsUrl,
  startPair,
  storedConnections,
  UPSTREAM_TEXT,
  UUID,
} from './harness.ts'

const failure = (error: string) => ({ error, message: UPSTREAM_TEXT })

async function connected() {
  const pair = await startPair()
  const { client } = await connect(pair)
  pair.upstream.onApi = knows('fresh')
  pair.upstream.requests.length = 0
  return { pair, client, ask: () => client.get(participantsUrl(pair)) }
}

function expectEnded(pair: Pair, reply: Reply, code: string): void {
  expect(reply.status).toBe(409)
  expect(reply.headers['cache-control']).toBe('no-store')
  expect(reply.json()).toEqual({
    error: code,
    message: expect.any(String),
    request_id: expect.stringMatching(UUID),
    connect_url: `${pair.app.url}/connect?event_id=evt_test_published`,
  })
  expect(JSON.stringify(pair.app.log)).not.toContain(UPSTREAM_TEXT)
}

const state = async (pair: Pair) => {
  const [row] = await storedConnections(pair)
  return [row?.state, row?.reason, row?.access_token === null, row?.refresh_token === null]
}

test.for([400, 401])(
  '%i invalid_grant: re-consent, the tokens are gone, and nothing is sent ever again',
  async status => {
    const { pair, ask } = await connected()
    pair.upstream.onToken = json(status, failure('invalid_grant'))
    expectEnded(pair, await ask(), 'reconsent_required')
    expect(await state(pair)).toEqual(['reconsent', 'invalid_grant', true, true])
    expect(pair.upstream.requests).toHaveLength(2)
    pair.runtime.advance(3_600_000)
    const again = await Promise.all([ask(), ask(), ask()])
    for (const reply of again) expectEnded(pair, reply, 'reconsent_required')
    expect(pair.upstream.requests).toHaveLength(2)
  },
)

test('20 callers at once hear of the re-consent from one token request', async () => {
  const { pair, ask } = await connected()
  pair.upstream.onToken = json(400, failure('invalid_grant'))
  const replies = await Promise.all(Array.from({ length: 20 }, ask))
  for (const reply of replies) expectEnded(pair, reply, 'reconsent_required')
  expect(pair.upstream.tokenRequests()).toHaveLength(1)
})

test('after re-consent the organizer connects again and everything goes on', async () => {
  const { pair, client, ask } = await connected()
  pair.upstream.onToken = json(400, failure('invalid_grant'))
  const url = (await ask()).json<{ connect_url: string }>().connect_url
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  const { searchParams } = new URL(String((await client.get(url)).headers['location']))
  const back = await comeBack(pair, client, { code: 'c', state: searchParams.get('state') ?? '' })
  expect(back.status).toBe(200)
  expect(await state(pair)).toEqual(['connected', null, false, false])
  expect((await ask()).status).toBe(200)
})

const postponed: [string, Answer, string][] = [
  ['invalid_grant inside a 500', json(500, failure('invalid_grant')), 'upstream_error'],
  ['invalid_grant inside a 429', json(429, failure('invalid_grant')), 'upstream_error'],
  ['Invalid_Grant', json(400, failure('Invalid_Grant')), 'upstream_error'],
  ['invalid_grant as a message', json(400, { error: 'x', message: 'invalid_grant' }), 'upstream_error'],
  ['400 invalid_client', json(400, failure('invalid_client')), 'configuration_error'],
  [
    '401 invalid_client with a challenge',
    json(401, failure('invalid_client'), { 'www-authenticate': 'Basic' }),
    'configuration_error',
  ],
  ['503', json(503, failure('unavailable')), 'upstream_error'],
  ['302', json(302, {}, { location: '/login' }), 'upstream_error'],
]

test.for(postponed)('$0 is not re-consent: 502 $2, and the connection goes on', async ([, answer, code]) => {
  const { pair, ask } = await connected()
  const [before] = await storedConnections(pair)
  pair.upstream.onToken = answer
  expectError(pair, await ask(), 502, code)
  const [after] = await storedConnections(pair)
  expect([after?.state, after?.version]).toEqual(['connected', before?.version])
  expect(after?.refresh_token).toEqual(before?.refresh_token)
  pair.runtime.advance(300_000)
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  expect((await ask()).status).toBe(200)
})

test('a refused client is not asked again for a minute', async () => {
  const { pair, ask } = await connected()
  pair.upstream.onToken = json(401, failure('invalid_client'))
  expectError(pair, await ask(), 502, 'configuration_error')
  expectError(pair, await ask(), 502, 'configuration_error')
  expect(pair.upstream.tokenRequests()).toHaveLength(1)
})

test('a platform that fails gets at most five requests in five minutes', async () => {
  const { pair, ask } = await connected()
  pair.upstream.onToken = json(503, failure('unavailable'))
  for (let minute = 0; minute < 4; minute++) {
    for (let n = 0; n < 3; n++) {
      expectError(pair, await ask(), 502, 'upstream_error')
      pair.runtime.advance(15_000)
    }
  }
  expect(pair.upstream.tokenRequests().length).toBeLessThanOrEqual(5)
})

test('Retry-After of the token endpoint is obeyed, however long', async () => {
  const { pair, ask } = await connected()
  pair.upstream.onToken = json(429, failure('slow_down'), { 'retry-after': '86400' })
  expectError(pair, await ask(), 502, 'upstream_error')
  pair.runtime.advance(86_000_000)
  expectError(pair, await ask(), 502, 'upstream_error')
  expect(pair.upstream.tokenRequests()).toHaveLength(1)
  pair.runtime.advance(401_000)
  expectError(pair, await ask(), 502, 'upstream_error')
  expect(pair.upstream.tokenRequests()).toHaveLength(2)
})

const unaccounted: [string, Answer][] = [
  ['a reset', (_request, response) => void response.destroy()],
  ['ids with a path', json(200, tokens({ event_id: '../x' }))],
  ['another event', json(200, tokens({ event_id: 'evt_other' }))],
  ['invalid_grant inside a 200', json(200, failure('invalid_grant'))],
]

test.for(unaccounted)('$0 is recovered from once', async ([, answer]) => {
  const { pair, ask } = await connected()
  pair.upstream.onToken = (request, response) => {
    pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
    answer(request, response)
  }
  expect((await ask()).status).toBe(200)
  expect(pair.upstream.tokenRequests()).toHaveLength(2)
  const [first, second] = pair.upstream.tokenRequests()
  expect(second?.form.get('refresh_token')).toBe(first?.form.get('refresh_token'))
})

test.for(unaccounted)('$0 twice: the organizer is asked, and nothing more is sent', async ([, answer]) => {
  const { pair, ask } = await connected()
  pair.upstream.onToken = answer
  expectEnded(pair, await ask(), 'reconsent_required')
  expect(await state(pair)).toEqual(['reconsent', 'refresh_interrupted', true, true])
  expectEnded(pair, await ask(), 'reconsent_required')
  expect(pair.upstream.tokenRequests()).toHaveLength(2)
})

test('a recovery that the platform rejects is told as interrupted', async () => {
  const { pair, ask } = await connected()
  pair.upstream.onToken = (_request, response) => {
    pair.upstream.onToken = json(400, failure('invalid_grant'))
    response.destroy()
  }
  expectEnded(pair, await ask(), 'reconsent_required')
  expect(await state(pair)).toEqual(['reconsent', 'refresh_interrupted', true, true])
})

test('nothing is sent after the end of the consent', async () => {
  const { pair, ask } = await connected()
  const ended = { refresh_expires_at: pair.runtime.now() }
  await pair.app.database.query.updateTable('connections').set(ended).execute()
  expectEnded(pair, await ask(), 'reconsent_required')
  expect(await state(pair)).toEqual(['reconsent', 'consent_expired', true, true])
  expect(pair.upstream.requests).toHaveLength(0)
})

test('token_revoked: revoked without any token request, and nothing is sent any more', async () => {
  const { pair, ask } = await connected()
  pair.upstream.onApi = json(401, failure('token_revoked'))
  expectEnded(pair, await ask(), 'revoked')
  expect(await state(pair)).toEqual(['revoked', 'token_revoked', true, true])
  expectEnded(pair, await ask(), 'revoked')
  expect(pair.upstream.requests).toHaveLength(1)
})

test.for<[number, string]>([
  [500, 'token_revoked'],
  [403, 'token_revoked'],
  [500, 'token_expired'],
])(
  '%i %s is not what the platform documents: nothing is refreshed and nothing ends',
  async ([status, error]) => {
    const { pair, ask } = await connected()
    pair.upstream.onApi = json(status, failure(error))
    expectError(pair, await ask(), 502, 'upstream_error')
    expect(pair.upstream.requests).toHaveLength(status === 500 ? 3 : 1)
    expect(pair.upstream.tokenRequests()).toEqual([])
    expect((await storedConnections(pair))[0]?.state).toBe('connected')
  },
)

test('token_revoked on the retried call is revoked too', async () => {
  const { pair, ask } = await connected()
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  pair.upstream.onApi = (request, response) => {
    const error = request.headers.authorization === 'Bearer fresh' ? 'token_revoked' : 'token_expired'
    json(401, failure(error))(request, response)
  }
  expectEnded(pair, await ask(), 'revoked')
  expect(pair.upstream.tokenRequests()).toHaveLength(1)
})

test('a late token_revoked for a replaced token does not end the new consent', async () => {
  const { pair, client, ask } = await connected()
  let late: () => void = () => undefined
  pair.upstream.onApi = (request, response) => {
    late = () => json(401, failure('token_revoked'))(request, response)
  }
  const slow = ask()
  await until(() => pair.upstream.apiRequests().length === 1)
  pair.upstream.onApi = knows('fresh')
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  const flow = await begin(pair, client)
  await comeBack(pair, client, { code: 'c', state: flow.state })
  late()
  expect((await slow).status).toBe(200)
  expect(await state(pair)).toEqual(['connected', null, false, false])
})

test('a refresh that is overtaken by a new consent does not overwrite it', async () => {
  const { pair, client, ask } = await connected()
  let late: () => void = () => undefined
  pair.upstream.onToken = (request, response) => {
    late = () => json(200, tokens({ access_token: 'stale' }))(request, response)
  }
  const slow = ask()
  await until(() => pair.upstream.tokenRequests().length === 1)
  const flow = await begin(pair, client)
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  await comeBack(pair, client, { code: 'c', state: flow.state })
  late()
  expect((await slow).status).toBe(200)
  expect(pair.upstream.apiRequests().map(r => r.headers.authorization)).not.toContain('Bearer stale')
})

test('a first call that finds the token revoked is told in the answer of /callback', async () => {
  const pair = await startPair()
  pair.upstream.onApi = json(401, failure('token_revoked'))
  const { reply } = await connect(pair)
  expect(reply.json()).toMatchObject({ participants: null, participants_error: 'revoked' })
  expect((await storedConnections(pair))[0]?.state).toBe('revoked')
})
