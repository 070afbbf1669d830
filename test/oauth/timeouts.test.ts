import { expect, test } from 'vitest'
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

async function exchangeEndsInTime(answer: Answer): Promise<void> {
  const pair = await startPair()
  const { client, state } = await begin(pair)
  pair.upstream.onToken = answer
  const startedAt = Date.now()
  const reply = await comeBack(pair, client, { code: 'good-code', state })
  expectError(pair, reply, 504, 'upstream_timeout')
  expect(Date.now() - startedAt).toBeGreaterThan(9_000)
  expect(Date.now() - startedAt).toBeLessThan(20_000)
  expect(pair.upstream.tokenRequests()).toHaveLength(1)
  expect(await storedConnections(pair)).toEqual([])
}

/** The connection is stored before the call that fails. */
async function firstCallEndsInTime(): Promise<void> {
  const pair = await startPair()
  pair.upstream.onApi = drip
  const { reply } = await connect(pair)
  expect(reply.json()).toEqual({
    message: 'Connected!',
    event_id: EVENT,
    participants: null,
    participants_error: 'upstream_timeout',
  })
  expect((await storedConnections(pair))[0]?.state).toBe('connected')
}

/** Revento may still be at work: nobody asks again for half a minute. */
async function refreshEndsInTime(): Promise<void> {
  const pair = await startPair()
  const { client } = await connect(pair)
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
}

test('whatever does not answer whole within 10 s is given up: code exchange, first call, refresh', async () => {
  await Promise.all([
    exchangeEndsInTime(silence),
    exchangeEndsInTime(drip),
    firstCallEndsInTime(),
    refreshEndsInTime(),
  ])
}, 30_000)
