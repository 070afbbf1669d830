import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import { createTokenEndpoint } from '../../src/revento/token-endpoint.ts'
import { type Answer, json, startUpstream, tokens } from '../helpers/upstream.ts'

async function start(authBase?: string) {
  const upstream = await startUpstream()
  const outgoing = createOutgoing()
  onTestFinished(async () => {
    await outgoing.close()
    await upstream.close()
  })
  const endpoint = createTokenEndpoint(
    {
      authBase: authBase ?? upstream.authBase,
      clientId: 'a client & more',
      clientSecret: 's%cr+t=ü',
      redirectUri: 'https://app.example/callback',
      scopes: 'event.read',
    },
    outgoing.token,
    systemRuntime,
  )
  return {
    upstream,
    refresh: () => endpoint.refresh('refresh token +/=&', { eventId: 'evt_own', organizationId: 'org_own' }),
  }
}

test('credentials and token travel in the form, decoded as they are, and nowhere else', async () => {
  const { upstream, refresh } = await start()
  await refresh()
  const [sent] = upstream.requests
  expect([sent?.method, sent?.path, sent?.query.toString()]).toEqual(['POST', '/oauth/token', ''])
  expect(Object.fromEntries(sent?.form ?? [])).toEqual({
    grant_type: 'refresh_token',
    refresh_token: 'refresh token +/=&',
    client_id: 'a client & more',
    client_secret: 's%cr+t=ü',
  })
  expect(sent?.headers.authorization).toBeUndefined()
})

test('each token request has a connection of its own: none is sent again by the client', async () => {
  const { upstream, refresh } = await start()
  const ports = new Set<number | undefined>()
  upstream.onToken = (request, response) => {
    ports.add(response.socket?.remotePort)
    json(200, tokens())(request, response)
  }
  for (let n = 0; n < 3; n++) expect((await refresh()).kind).toBe('tokens')
  expect(ports.size).toBe(3)
})

test('a checked answer is read member by member', async () => {
  const { upstream, refresh } = await start()
  upstream.onToken = json(
    200,
    tokens({ access_token: 'a', refresh_token: 'r', surplus: 'x', expires_in: 60 }),
  )
  expect(await refresh()).toEqual({
    kind: 'tokens',
    tokens: {
      accessToken: 'a',
      refreshToken: 'r',
      expiresIn: 60,
      refreshExpiresIn: 7_776_000,
      scope: 'event.read participants.read',
      eventId: 'evt_test_published',
      organizationId: 'org_test_formal',
    },
  })
})

test.for([-1, 0, 1e99, '3600', 'soon', [], true, null])(
  'a lifetime of %s costs nobody the tokens',
  async odd => {
    const { upstream, refresh } = await start()
    upstream.onToken = json(200, tokens({ expires_in: odd, refresh_expires_in: odd }))
    expect((await refresh()).kind).toBe('tokens')
  },
)

test.for<[string, Answer, object]>([
  ['400 invalid_grant', json(400, { error: 'invalid_grant' }), { kind: 'rejected' }],
  ['500 invalid_grant', json(500, { error: 'invalid_grant' }), { kind: 'transient' }],
  ['429 invalid_grant', json(429, { error: 'invalid_grant' }), { kind: 'transient' }],
  ['302 invalid_grant', json(302, { error: 'invalid_grant' }), { kind: 'transient' }],
  ['200 invalid_grant', json(200, { error: 'invalid_grant' }), { kind: 'unknown' }],
  ['401 invalid_client', json(401, { error: 'invalid_client' }), { kind: 'configuration' }],
  ['400 invalid_request', json(400, { error: 'invalid_request' }), { kind: 'transient' }],
  ['503 HTML', (_request, response) => void response.writeHead(503).end('<p>'), { kind: 'transient' }],
  ['404 HTML', (_request, response) => void response.writeHead(404).end('<p>'), { kind: 'transient' }],
  ['a reset', (_request, response) => void response.destroy(), { kind: 'unknown', timeout: false }],
])('%s is told apart', async ([, answer, outcome]) => {
  const { upstream, refresh } = await start()
  upstream.onToken = answer
  expect(await refresh()).toMatchObject(outcome)
  expect(upstream.requests).toHaveLength(1)
})

test('nobody listening is surely not processed: transient', async () => {
  const { refresh } = await start('http://127.0.0.1:9')
  expect(await refresh()).toEqual({ kind: 'transient', detail: 'ECONNREFUSED', timeout: false })
})

test('no answer makes it throw, and none is told as tokens that has no ids of ours', async () => {
  const { upstream, refresh } = await start()
  const status = fc.integer({ min: 200, max: 599 })
  await fc.assert(
    fc.asyncProperty(status, fc.json(), async (code, body) => {
      upstream.onToken = (_request, response) => void response.writeHead(code).end(body)
      expect((await refresh()).kind).toMatch(/^(rejected|configuration|transient|unknown)$/)
    }),
    { numRuns: 60 },
  )
})
