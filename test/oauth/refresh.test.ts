import { expect, test } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import { readDatabase } from '../../src/storage/open.ts'
import { type Answer, emptyPage, json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import {
  connect,
  expectError,
  knows,
  type Pair,
  participantsUrl,
  startPair,
  storedConnections,
} from './harness.ts'

/** A connected browser whose access token has expired; the next token answer makes `fresh` the live one. */
async function expired(change: Record<string, unknown> = {}) {
  const pair = await startPair()
  pair.upstream.onToken = json(200, tokens({ access_token: 'old', refresh_token: 'refresh-1' }))
  const { client } = await connect(pair)
  pair.upstream.requests.length = 0
  pair.upstream.onApi = knows('fresh')
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh', refresh_token: 'refresh-2', ...change }))
  return { pair, client, ask: () => client.get(participantsUrl(pair)) }
}

const bearers = (pair: Pair) => pair.upstream.apiRequests().map(r => r.headers.authorization)

test('token_expired: one refresh as documented, one retry with the new token', async () => {
  const { pair, ask } = await expired()
  expect((await ask()).json()).toEqual(emptyPage)
  expect(pair.upstream.requests.map(r => r.path)).toEqual([
    '/api/v1/events/evt_test_published/participants',
    '/oauth/token',
    '/api/v1/events/evt_test_published/participants',
  ])
  expect(bearers(pair)).toEqual(['Bearer old', 'Bearer fresh'])
  const [sent] = pair.upstream.tokenRequests()
  expect(sent?.headers['content-type']).toMatch(/^application\/x-www-form-urlencoded/)
  expect(Object.fromEntries(sent?.form ?? [])).toEqual({
    grant_type: 'refresh_token',
    refresh_token: 'refresh-1',
    client_id: 'client-for-tests',
    client_secret: 'client-secret-for-tests',
  })
  const ids = pair.upstream.apiRequests().map(r => r.headers['x-revento-request-id'])
  expect(new Set(ids).size).toBe(2)
})

test('the new pair is committed before the retried call', async () => {
  const { pair, ask } = await expired()
  const versions: unknown[] = []
  const look = async () => {
    const query = await readDatabase(pair.app.config.store, systemRuntime)
    const row = await query?.selectFrom('connections').select('version').executeTakeFirst()
    versions.push(row?.version)
    await query?.destroy()
  }
  pair.upstream.onApi = (request, response) => void look().then(() => knows('fresh')(request, response))
  expect((await ask()).status).toBe(200)
  expect(versions).toEqual([1, 2])
})

test('the next refresh uses the rotated token', async () => {
  const { pair, ask } = await expired()
  await ask()
  pair.upstream.onApi = knows('newest')
  pair.upstream.onToken = json(200, tokens({ access_token: 'newest' }))
  expect((await ask()).status).toBe(200)
  expect(pair.upstream.tokenRequests().map(r => r.form.get('refresh_token'))).toEqual([
    'refresh-1',
    'refresh-2',
  ])
})

test('an answer without refresh_token keeps the one that is held', async () => {
  const { pair, ask } = await expired({ refresh_token: undefined })
  expect((await ask()).status).toBe(200)
  pair.upstream.onApi = knows('newest')
  pair.upstream.onToken = json(200, tokens({ access_token: 'newest' }))
  expect((await ask()).status).toBe(200)
  expect(pair.upstream.tokenRequests().map(r => r.form.get('refresh_token'))).toEqual([
    'refresh-1',
    'refresh-1',
  ])
})

test('20 callers at once: one token request, and all get their answer', async () => {
  const { pair, ask } = await expired()
  const held: (() => void)[] = []
  const waiting: Answer = (request, response) => {
    const answer = () => knows('fresh')(request, response)
    if (request.headers.authorization === 'Bearer fresh') return answer()
    held.push(answer)
    // No caller hears of the expiry before all calls that may be in flight were sent with the old token.
    if (held.length === 5) for (const go of held) go()
  }
  pair.upstream.onApi = waiting
  const replies = await Promise.all(Array.from({ length: 20 }, ask))
  expect(replies.map(reply => reply.status)).toEqual(Array.from({ length: 20 }, () => 200))
  expect(pair.upstream.tokenRequests()).toHaveLength(1)
})

test('a caller that hears of the expiry after the refresh does not refresh again', async () => {
  const { pair, client, ask } = await expired()
  let late: () => void = () => undefined
  pair.upstream.onApi = (request, response) => {
    if (request.query.get('cursor') === 'late' && request.headers.authorization === 'Bearer old')
      late = () => knows('fresh')(request, response)
    else knows('fresh')(request, response)
  }
  const slow = client.get(`${participantsUrl(pair)}&cursor=late`)
  await until(() => pair.upstream.apiRequests().length === 1)
  expect((await ask()).status).toBe(200)
  late()
  expect((await slow).status).toBe(200)
  expect(pair.upstream.tokenRequests()).toHaveLength(1)
})

test('a second token_expired is an error, not a loop', async () => {
  const { pair, ask } = await expired()
  pair.upstream.onApi = knows('nobody')
  expectError(pair, await ask(), 502, 'upstream_error')
  expect(bearers(pair)).toEqual(['Bearer old', 'Bearer fresh'])
  expect(pair.upstream.tokenRequests()).toHaveLength(1)
  expect((await storedConnections(pair))[0]?.state).toBe('connected')
})

test.for(['invalid_token', 'unauthorized', 'event_not_authorized'])(
  '401 %s is no refresh case',
  async error => {
    const { pair, ask } = await expired()
    pair.upstream.onApi = json(401, { error, message: 'token_expired' })
    expectError(pair, await ask(), 502, 'upstream_error')
    expect(pair.upstream.tokenRequests()).toHaveLength(0)
    expect((await storedConnections(pair))[0]?.state).toBe('connected')
  },
)

test('the expiry of one event does not touch the token of another', async () => {
  const { pair, client, ask } = await expired()
  pair.upstream.onToken = json(
    200,
    tokens({ event_id: 'evt_two', access_token: 'two', refresh_token: 'r-two' }),
  )
  pair.upstream.onApi = knows('two')
  await connect(pair, client, '?event_id=evt_two')
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  pair.upstream.onApi = knows('fresh')
  pair.upstream.requests.length = 0
  expect((await ask()).status).toBe(200)
  expect(bearers(pair)).toEqual(['Bearer old', 'Bearer fresh'])
  const rows = await storedConnections(pair)
  expect(rows.map(row => [row.event_id, row.version])).toEqual([
    ['evt_test_published', 2],
    ['evt_two', 1],
  ])
})
