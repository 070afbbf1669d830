import { expect, test } from 'vitest'
import { json } from '../helpers/upstream.ts'
import { connect, expectError, participantsUrl, startPair } from '../oauth/harness.ts'

const limited = json(429, { error: 'rate_limit_exceeded' }, { 'retry-after': '600' })

test('the limit is used up: /participants says so at once, and for how long', async () => {
  const pair = await startPair()
  const { client } = await connect(pair)
  pair.upstream.requests.length = 0
  pair.upstream.onApi = limited
  const heard = await client.get(participantsUrl(pair))
  expectError(pair, heard, 503, 'rate_budget_used')
  expect(heard.headers['retry-after']).toBe('600')
  pair.runtime.advance(100_500)
  const startedAt = Date.now()
  const held = await client.get(participantsUrl(pair))
  expectError(pair, held, 503, 'rate_budget_used')
  expect(Number(held.headers['retry-after'])).toBeLessThanOrEqual(500)
  expect(Number(held.headers['retry-after'])).toBeGreaterThan(480)
  expect(Date.now() - startedAt).toBeLessThan(1_500)
  expect(pair.upstream.requests).toHaveLength(1)
})
