import { expect, test } from 'vitest'
import { type HeldWrites, holdWrites } from '../helpers/database.ts'
import { json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { connect, knows, participantsUrl, startPair, storedConnections } from './harness.ts'

async function expired() {
  const pair = await startPair()
  const { client } = await connect(pair)
  pair.upstream.onApi = knows('fresh')
  pair.upstream.requests.length = 0
  const ask = () => client.get(participantsUrl(pair))
  /** Lets the seconds pass for which a refresh waits before its next try. */
  const askPatiently = async () => {
    const answer = ask()
    let isThere = false
    void answer.finally(() => {
      isThere = true
    })
    await until(() => {
      if (!isThere) pair.runtime.pass(100)
      return isThere
    })
    return answer
  }
  return { pair, ask, askPatiently }
}

test('tokens that cannot be stored at once are kept until they can, and never asked for twice', async () => {
  const { pair, ask } = await expired()
  let held: HeldWrites | undefined
  pair.upstream.onToken = (request, response) => {
    void holdWrites(pair.app.config.store).then(writes => {
      held = writes
      json(200, tokens({ access_token: 'fresh' }))(request, response)
    })
  }
  const asked = ask()
  await until(async () => {
    if (held) pair.runtime.pass(100)
    await held?.giveUp()
    return pair.app.log.some(line => /cannot store the refreshed tokens/.test(String(line['msg'])))
  })
  await held?.release()
  expect((await asked).status).toBe(200)
  expect(pair.upstream.tokenRequests()).toHaveLength(1)
  expect((await storedConnections(pair))[0]).toMatchObject({ state: 'connected', refresh_phase: 'idle' })
})

test.for(['0', 'Sat, 09 May 2020 12:00:05 GMT'])('a Retry-After of %s shortens no wait', async header => {
  const { pair, askPatiently: ask } = await expired()
  pair.upstream.onToken = json(503, {}, { 'retry-after': header })
  expect((await ask()).status).toBe(502)
  const [row] = await storedConnections(pair)
  expect(row?.refresh_failures).toBeGreaterThan(0)
  const waitMs = (row?.refresh_not_before ?? 0) - (row?.refresh_noted_at ?? 0)
  expect(waitMs).toBeGreaterThanOrEqual(250 * 2 ** (row?.refresh_failures ?? 0))
})

test('while a refresh waits for its next try, a caller is refused at the cost of no API call', async () => {
  const { pair, askPatiently: ask } = await expired()
  pair.upstream.onToken = json(503, {}, { 'retry-after': '60' })
  expect((await ask()).status).toBe(502)
  const told = () => pair.upstream.requests.map(({ path }) => path.replace(/.*\//, ''))
  expect(told()).toEqual(['participants', 'token'])
  for (let caller = 0; caller < 40; caller++)
    expect((await ask()).json()).toMatchObject({ error: 'upstream_error' })
  expect(told()).toEqual(['participants', 'token'])
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  pair.runtime.pass(80_000)
  expect((await ask()).status).toBe(200)
  expect(told()).toEqual(['participants', 'token', 'token', 'participants'])
})

test.for(['99999999999999', '999999999999999'])(
  'a Retry-After of %s s harms nothing but the wait',
  async header => {
    const { pair, askPatiently: ask } = await expired()
    pair.upstream.onToken = json(503, {}, { 'retry-after': header })
    expect((await ask()).status).toBe(502)
    expect((await ask()).status).toBe(502)
    const [row] = await storedConnections(pair)
    expect((row?.refresh_not_before ?? 0) - (row?.refresh_noted_at ?? 0)).toBe(3_600_000)
  },
)
