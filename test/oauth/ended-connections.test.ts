import { expect, test } from 'vitest'
import type { Reply } from '../helpers/client.ts'
import { testRuntime } from '../helpers/runtime.ts'
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

const errorsOf = ({ app }: Pair) => app.log.filter(({ level, part }) => level === 'error' && part === 'oauth')

async function connected(runtime = testRuntime()) {
  const pair = await startPair({ runtime })
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
  const { pair, ask } = await connected(testRuntime({ moving: true }))
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

test('Retry-After of the token endpoint is obeyed', async () => {
  const { pair, ask } = await connected()
  pair.upstream.onToken = json(429, failure('slow_down'), { 'retry-after': '3000' })
  expectError(pair, await ask(), 502, 'upstream_error')
  pair.runtime.advance(2_990_000)
  expectError(pair, await ask(), 502, 'upstream_error')
  expect(pair.upstream.tokenRequests()).toHaveLength(1)
  pair.runtime.advance(11_000)
  expectError(pair, await ask(), 502, 'upstream_error')
  expect(pair.upstream.tokenRequests()).toHaveLength(2)
  expect(errorsOf(pair)).toEqual([])
})

test.for<[string, (now: number) => string, number]>([
  ['now + 5 in epoch seconds', now => String(Math.ceil(now / 1000) + 5), 7_000],
  ['a year', () => '31536000', 3_601_000],
])('a Retry-After of %s is no wait of years, and is told at ERROR once', async ([, header, ms]) => {
  const { pair, ask } = await connected()
  const refusal: Answer = (request, response) =>
    json(429, failure('slow_down'), { 'retry-after': header(pair.runtime.now()) })(request, response)
  pair.upstream.onToken = refusal
  expectError(pair, await ask(), 502, 'upstream_error')
  pair.runtime.advance(ms)
  expectError(pair, await ask(), 502, 'upstream_error')
  expect(pair.upstream.tokenRequests()).toHaveLength(2)
  expect(errorsOf(pair)).toHaveLength(1)
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  pair.runtime.advance(ms)
  expect((await ask()).status).toBe(200)
})

test('a wait noted while the clock was an hour ahead does not count once it is right', async () => {
  const { pair, ask } = await connected()
  pair.runtime.setClock(3_600_000)
  pair.upstream.onToken = json(503, failure('unavailable'), { 'retry-after': '4' })
  expectError(pair, await ask(), 502, 'upstream_error')
  pair.runtime.setClock(-3_600_000)
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  expect((await ask()).status).toBe(200)
})

const unaccounted: [string, Answer][] = [
  ['a reset', (_request, response) => void response.destroy()],
  ['another event', json(200, tokens({ event_id: 'evt_other' }))],
  ['HTML', (_request, response) => void response.writeHead(200).end('<h1>A proxy on the way</h1>')],
  ['a gateway', (_request, response) => void response.writeHead(502).end('<h1>Bad Gateway</h1>')],
  ['invalid_grant inside a 200', json(200, failure('invalid_grant'))],
]

/** Calls every 75 s. Only one refresh token must have been shown in the end, and a new pair must heal the connection. */
async function goesOn({ pair, ask }: Awaited<ReturnType<typeof connected>>, answer: Answer, calls: number) {
  pair.upstream.onToken = answer
  expectError(pair, await ask(), 502, 'upstream_error')
  expectError(pair, await ask(), 502, 'upstream_error')
  expect(pair.upstream.tokenRequests()).toHaveLength(1)
  for (let call = 0; call < calls; call++) {
    pair.runtime.advance(75_000)
    expectError(pair, await ask(), 502, 'upstream_error')
  }
  expect(await state(pair)).toEqual(['connected', null, false, false])
  const asked = pair.upstream.tokenRequests().length
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  pair.runtime.advance(4_600_000)
  expect((await ask()).status).toBe(200)
  const spent = pair.upstream.tokenRequests().map(({ form }) => form.get('refresh_token'))
  expect(new Set(spent).size).toBe(1)
  return asked
}

test.for(unaccounted)('$0 is asked again until something definite is said', async ([, answer]) => {
  expect(await goesOn(await connected(), answer, 6)).toBe(7)
})

test('an answer that never comes is asked for once a minute for an hour, then once an hour', async () => {
  const cut: Answer = (_request, response) => void response.destroy()
  const asked = await goesOn(await connected(), cut, 90)
  expect(asked).toBeGreaterThan(40)
  expect(asked).toBeLessThan(70)
})

test('a lost answer and then invalid_grant: told as interrupted, and nothing more is sent', async () => {
  const { pair, ask } = await connected()
  pair.upstream.onToken = (_request, response) => void response.destroy()
  expectError(pair, await ask(), 502, 'upstream_error')
  pair.upstream.onToken = json(400, failure('invalid_grant'))
  pair.runtime.advance(7_000)
  expectEnded(pair, await ask(), 'reconsent_required')
  expect(await state(pair)).toEqual(['reconsent', 'refresh_interrupted', true, true])
  expectEnded(pair, await ask(), 'reconsent_required')
  expect(pair.upstream.tokenRequests()).toHaveLength(2)
})

/** Moves the end of the connection, as this app has computed it, to the present. */
async function pastTheEnd() {
  const { pair, ask } = await connected()
  const ended = { refresh_expires_at: pair.runtime.now() }
  await pair.app.database.query.updateTable('connections').set(ended).execute()
  return { pair, ask }
}

test.for(['token_expired', 'invalid_token'])(
  'past the end that we computed Revento is asked, whose word counts: %s',
  async error => {
    const { pair, ask } = await pastTheEnd()
    pair.upstream.onApi = json(401, failure(error))
    pair.upstream.onToken = json(400, failure('invalid_grant'))
    expectEnded(pair, await ask(), 'reconsent_required')
    expect(await state(pair)).toEqual(['reconsent', 'consent_expired', true, true])
    expect(pair.upstream.tokenRequests()).toHaveLength(1)
  },
)

test('a clock that was three months ahead for one call ends nothing', async () => {
  const { pair, ask } = await connected()
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  await pair.app.database.query.updateTable('sessions').set({ expires_at: 1e15 }).execute()
  pair.runtime.advance(91 * 86_400_000)
  expect((await ask()).status).toBe(200)
  pair.runtime.advance(-91 * 86_400_000)
  expect((await ask()).status).toBe(200)
  expect(await state(pair)).toEqual(['connected', null, false, false])
})

test('past the end an answer that does not come is asked for once a day', async () => {
  const { pair, ask } = await pastTheEnd()
  pair.upstream.onToken = (_request, response) => void response.destroy()
  for (let hour = 0; hour < 50; hour++) {
    expectError(pair, await ask(), 502, 'upstream_error')
    pair.runtime.advance(3_600_000)
  }
  expect(pair.upstream.tokenRequests().length).toBeLessThanOrEqual(4)
  expect(await state(pair)).toEqual(['connected', null, false, false])
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
