import { expect, test } from 'vitest'
import type { HandlerContext } from '../../src/builder/context.ts'
import { emptyPage, json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { connect, EVENT, type Pair, participantsUrl, startPair, storedConnections } from './harness.ts'

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
const title = { ...emptyPage, id: EVENT, title: 'Con' }
const handlers = {
  revento: { 'application.approved': async ({ api }: HandlerContext) => void (await api.event()) },
}

async function deliver(pair: Pair, client: Awaited<ReturnType<typeof connect>>['client'], event = {}) {
  const { body, headers } = signedDelivery({ id: crypto.randomUUID(), event })
  expect((await client.post(`${pair.app.url}/webhooks/revento`, body, headers)).status).toBe(200)
}
const suspension = (occurredAt: number) => ({
  id: crypto.randomUUID(),
  type: 'integration.suspended',
  event_id: null,
  organization_id: null,
  occurred_at: new Date(occurredAt).toISOString(),
  data: {},
})
const stateIs = (pair: Pair, state: string) =>
  until(async () => (await storedConnections(pair))[0]?.state === state)
const deliveryIs = (pair: Pair, state: string) =>
  until(async () =>
    (await pair.app.database.query.selectFrom('inbox').selectAll().execute()).find(
      row => row.type === 'application.approved' && row.state === state,
    ),
  )

async function suspended() {
  const pair = await startPair({ handlers })
  pair.upstream.onApi = json(200, title)
  const { client } = await connect(pair)
  await deliver(pair, client, suspension(pair.runtime.now() + 1_000))
  await stateIs(pair, 'suspended')
  pair.upstream.requests.length = 0
  return { pair, client }
}

test('a suspension that was lifted is noticed without anybody: the connection and its parked delivery go on', async () => {
  const { pair, client } = await suspended()
  await deliver(pair, client)
  expect((await deliveryIs(pair, 'parked')).attempts).toBe(0)
  expect(pair.upstream.requests).toEqual([])
  pair.runtime.pass(2 * MINUTE)
  await stateIs(pair, 'connected')
  await deliveryIs(pair, 'done')
})

test('while a suspension stands, Revento is asked more and more rarely, and token_revoked ends nothing', async () => {
  const { pair, client } = await suspended()
  pair.upstream.onApi = json(401, { error: 'token_revoked' })
  for (let minute = 0; minute < 120; minute++) {
    pair.runtime.advance(MINUTE)
    expect((await client.get(participantsUrl(pair))).json()).toMatchObject({ error: 'suspended' })
  }
  expect(pair.upstream.apiRequests().length).toBeGreaterThanOrEqual(5)
  expect(pair.upstream.apiRequests().length).toBeLessThanOrEqual(8)
  expect(await storedConnections(pair)).toMatchObject([
    { state: 'suspended', access_token: expect.anything() },
  ])
  pair.upstream.onApi = json(200, title)
  pair.runtime.advance(4 * 60 * MINUTE)
  expect((await client.get(participantsUrl(pair))).status).toBe(200)
  await stateIs(pair, 'connected')
})

test('a suspension that is older than the consent marks nothing', async () => {
  const pair = await startPair({ handlers })
  const { client } = await connect(pair)
  await deliver(pair, client, suspension(pair.runtime.now() - 60 * MINUTE))
  await until(async () => pair.app.log.some(({ msg }) => msg === 'Revento has suspended this integration'))
  expect(await storedConnections(pair)).toMatchObject([{ state: 'connected' }])
})

test('webhooks alone for 200 days: an ordinary call keeps the connection, about every 45 days', {
  timeout: 60_000,
}, async () => {
  const pair = await startPair()
  let [expiresAt, calledAt] = [0, 0]
  /** From a call with an old token, or a new token, until the call with the new token. */
  let isUnderWay = true
  pair.upstream.onToken = (request, response) => {
    expiresAt = pair.runtime.now() + 60 * MINUTE
    isUnderWay = true
    json(200, tokens())(request, response)
  }
  pair.upstream.onApi = (request, response) => {
    const isLive = pair.runtime.now() < expiresAt
    isUnderWay = !isLive
    calledAt = pair.runtime.now()
    json(isLive ? 200 : 401, isLive ? title : { error: 'token_expired' })(request, response)
  }
  await connect(pair)
  await until(() => !isUnderWay)
  const endsAt = pair.runtime.now() + 200 * DAY
  const refreshes = () => pair.upstream.tokenRequests().length - 1
  while (pair.runtime.now() < endsAt) {
    pair.runtime.pass(5 * DAY)
    // When the call is due, minutes pass: the app may have looked a moment before. They would end the new token, too.
    await until(() => {
      const isDue = pair.runtime.now() - calledAt > 48 * DAY
      if (isDue && !isUnderWay) pair.runtime.pass(MINUTE)
      return !isDue && !isUnderWay
    })
  }
  expect(refreshes()).toBe(4)
  expect(await storedConnections(pair)).toMatchObject([{ state: 'connected', reason: null }])
})

test('without participants.read nothing is asked, and page and answer say what is missing, with the link', async () => {
  const pair = await startPair()
  pair.upstream.onToken = json(200, tokens({ scope: 'event.read' }))
  pair.upstream.onApi = json(200, title)
  const { client } = await connect(pair)
  await deliver(pair, client, { data: { participant_id: 'ptp_1', name: 'Ada Lovelace' } })
  await until(
    async () => (await pair.app.database.query.selectFrom('participants').selectAll().execute()).length > 0,
  )
  pair.upstream.requests.length = 0
  const answer = await client.get(participantsUrl(pair))
  expect([answer.status, answer.json()]).toMatchObject([
    409,
    { error: 'scope_missing', connect_url: expect.stringContaining(`/connect?event_id=${EVENT}`) },
  ])
  // part: page {
  const page = await client.get(`${pair.app.url}/`, { accept: 'text/html' })
  expect(page.text).toContain('participants.read')
  expect(page.text).toContain('Connect again to allow it')
  expect(page.text).not.toContain('Ada Lovelace')
  // part: page }
  expect(pair.upstream.apiRequests().filter(({ path }) => path.endsWith('/participants'))).toEqual([])
})

test('a consent whose scope is not said counts as what was asked for', async () => {
  const pair = await startPair()
  pair.upstream.onToken = json(200, tokens({ scope: undefined }))
  const { client } = await connect(pair)
  expect(await storedConnections(pair)).toMatchObject([{ scope: 'event.read participants.read' }])
  expect((await client.get(participantsUrl(pair))).status).toBe(200)
})
