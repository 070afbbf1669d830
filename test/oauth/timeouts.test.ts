import { expect, test } from 'vitest'
import { shortTimeouts } from '../helpers/timeouts.ts'
import { type Answer, json, tokens } from '../helpers/upstream.ts'
import {
  begin,
  comeBack,
  connect,
  EVENT,
  expectError,
  knows,
  startPair,
  storedConnections,
} from './harness.ts'

const silence: Answer = () => undefined
/** Headers at once, then a byte now and then: no single wait is long, the whole is. */
const drip: Answer = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  const timer = setInterval(() => response.write(' '), 100)
  response.once('close', () => clearInterval(timer))
}

test.for([
  ['says nothing', silence],
  ['drips', drip],
] as const)('a code exchange that %s is given up after 10 s', async ([, answer]) => {
  const pair = await startPair()
  const { client, state } = await begin(pair)
  pair.upstream.onToken = answer
  const given = shortTimeouts(pair.runtime)
  const startedAt = pair.runtime.now()
  const reply = await comeBack(pair, client, { code: 'good-code', state })
  expectError(pair, reply, 504, 'upstream_timeout')
  expect(given).toEqual([10_000])
  expect(pair.runtime.now() - startedAt).toBeGreaterThanOrEqual(10_000)
  expect(pair.upstream.tokenRequests()).toHaveLength(1)
  expect(await storedConnections(pair)).toEqual([])
})

test('a first call that drips is given up after 10 s: the connection is stored before it', async () => {
  const pair = await startPair()
  const given = shortTimeouts(pair.runtime)
  pair.upstream.onApi = drip
  const { reply } = await connect(pair)
  expect(reply.json()).toEqual({
    message: 'Connected!',
    event_id: EVENT,
    participants: null,
    participants_error: 'upstream_timeout',
  })
  expect(given).toEqual([10_000, 10_000])
  expect((await storedConnections(pair))[0]?.state).toBe('connected')
})

test('a refresh without an answer is given up after 10 s: Revento may be at it, and is left alone for half a minute', async () => {
  const pair = await startPair()
  const { client } = await connect(pair)
  shortTimeouts(pair.runtime)
  pair.upstream.onApi = json(401, { error: 'token_expired' })
  pair.upstream.onToken = silence
  const url = `${pair.app.url}/participants?event_id=${EVENT}`
  const [first, second] = await Promise.all([client.get(url), client.get(url)])
  expectError(pair, first, 504, 'upstream_timeout')
  expectError(pair, second, 504, 'upstream_timeout')
  expectError(pair, await client.get(url), 504, 'upstream_timeout')
  expect(pair.upstream.tokenRequests()).toHaveLength(2)
  expect((await storedConnections(pair))[0]?.state).toBe('connected')
  pair.runtime.advance(38_000)
  pair.upstream.onApi = knows('fresh')
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  expect((await client.get(url)).status).toBe(200)
})
