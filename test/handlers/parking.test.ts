import { afterEach, beforeEach, expect, test } from 'vitest'
import { startApp, type TestApp } from '../helpers/app.ts'
import { createClient, stateOf } from '../helpers/client.ts'
import { json, startUpstream, tokens, type Upstream } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'

let upstream: Upstream
let app: TestApp
let titles: unknown[]
const client = createClient()

beforeEach(async () => {
  titles = []
  upstream = await startUpstream()
  const { authBase, apiBase } = upstream
  app = await startApp({
    authBase,
    apiBase,
    handlers: {
      revento: {
        'application.approved': async ({ api }) => {
          titles.push((await api.event())['title'])
        },
      },
    },
  })
})
afterEach(async () => {
  await app.close()
  await upstream.close()
})

async function connect() {
  upstream.onToken = json(200, tokens())
  const started = await client.get(`${app.url}/connect`)
  const callback = `${app.url}/callback?code=c1&state=${stateOf(started)}`
  expect((await client.get(callback)).status).toBe(200)
}
const deliver = async () => {
  const { body, headers } = signedDelivery()
  expect((await client.post(`${app.url}/webhooks/revento`, body, headers)).status).toBe(200)
}
const reaches = (state: string) =>
  until(async () => {
    const row = await app.database.query.selectFrom('inbox').selectAll().executeTakeFirst()
    return row?.state === state && row
  })

test('a handler that needs a connection awaiting re-consent is parked, and resumes by itself after it', async () => {
  await connect()
  upstream.onApi = json(401, { error: 'token_expired' })
  upstream.onToken = json(400, { error: 'invalid_grant' })
  await deliver()
  expect((await reaches('parked')).last_error).toContain('reconsent_required')
  const refreshes = upstream.tokenRequests().length

  upstream.onApi = json(200, {
    data: [],
    next_cursor: null,
    has_more: false,
    id: 'evt_test_published',
    title: 'Con',
  })
  await connect()
  await reaches('done')
  expect(titles).toEqual(['Con'])
  expect(upstream.tokenRequests().length).toBe(refreshes + 1)
})

test('a handler whose connection was revoked is retried, not parked', async () => {
  await connect()
  upstream.onApi = json(401, { error: 'token_revoked' })
  await deliver()
  const row = await until(async () => {
    const found = await app.database.query.selectFrom('inbox').selectAll().executeTakeFirst()
    return found?.last_error && found
  })
  expect(row).toMatchObject({ state: 'pending', last_error: expect.stringContaining('revoked') })
})
