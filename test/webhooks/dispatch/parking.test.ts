import { afterEach, beforeEach, expect, test } from 'vitest'
import type { HandlerContext } from '../../../src/builder/context.ts'
import type { Queries } from '../../../src/storage/database.ts'
import { lock, transaction } from '../../../src/storage/sql.ts'
import { startApp, type TestApp } from '../../helpers/app.ts'
import { createClient, stateOf } from '../../helpers/client.ts'
import { json, startUpstream, tokens, type Upstream } from '../../helpers/upstream.ts'
import { until } from '../../helpers/wait.ts'
import { signedDelivery } from '../../helpers/webhook.ts'

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

test('a delivery whose connection waits for its next refresh is put back, and the run does not count', async () => {
  await connect()
  const live = { title: 'An event' }
  upstream.onApi = (request, response) => {
    const isFresh = request.headers.authorization === 'Bearer fresh'
    json(isFresh ? 200 : 401, isFresh ? live : { error: 'token_expired' })(request, response)
  }
  upstream.onToken = (_request, response) => void response.destroy()
  await deliver()
  const row = await until(async () => {
    const row = await app.database.query.selectFrom('inbox').selectAll().executeTakeFirst()
    return row?.state === 'pending' && row.next_at > Date.now() && row
  })
  expect(row).toMatchObject({ attempts: 0, last_error: null })
  const connection = await app.database.query.selectFrom('connections').selectAll().executeTakeFirst()
  expect(connection).toMatchObject({ state: 'connected', refresh_phase: 'sent' })
  upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  const elapsed = { refresh_not_before: 0 }
  await app.database.query.updateTable('connections').set(elapsed).execute()
  await app.database.query.updateTable('outcomes').set({ next_at: 1 }).execute()
  await reaches('done')
  expect(titles).toEqual(['An event'])
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

/** The callback's own first call is of the same budget, and is counted after its answer. */
const firstCallCounted = () =>
  until(async () => {
    const row = await app.database.query.selectFrom('api_budgets').selectAll().executeTakeFirst()
    return row && JSON.parse(row.budget).ended.length === 1
  })

/** As the app changes it: what it is about to store of the first call must not come after this, with what was before. */
const changeBudget = (work: (trx: Queries) => Promise<unknown>) =>
  transaction(app.database.query, async trx => {
    await lock(trx, 'api budget real evt_test_published org_test_formal')
    await work(trx)
  })

test('a list longer than one run can read ends its delivery at once, and says where it belongs', async () => {
  await app.close()
  const { authBase, apiBase } = upstream
  let rows = 0
  const listing = async ({ api }: HandlerContext) => {
    for await (const _ of api.allParticipants()) rows += 1
  }
  app = await startApp({ authBase, apiBase, handlers: { revento: { 'application.submitted': listing } } })
  await connect()
  let page = 0
  upstream.onApi = (request, response) =>
    json(200, { data: [{}], next_cursor: `c${page++}`, has_more: page < 33 })(request, response)
  await firstCallCounted()
  await changeBudget(trx => trx.deleteFrom('api_budgets').execute())
  const { body, headers } = signedDelivery({ event: { type: 'application.submitted' } })
  await client.post(`${app.url}/webhooks/revento`, body, headers)
  const dead = await reaches('dead')
  expect([dead.attempts, dead.last_error]).toEqual([1, expect.stringContaining('too_many_calls')])
  expect(rows).toBe(30)
})

test('a call whose minute others have used up puts its delivery back until there is room, uncounted', async () => {
  await connect()
  await firstCallCounted()
  const used = Array.from({ length: 30 }, () => Date.now())
  const budget = JSON.stringify({ at: Date.now(), ended: used, open: {} })
  await changeBudget(trx => trx.updateTable('api_budgets').set({ budget }).execute())
  const calls = upstream.apiRequests().length
  await deliver()
  const put = await until(async () => {
    const row = await app.database.query.selectFrom('inbox').selectAll().executeTakeFirst()
    const isNew = row?.state === 'running' || (row?.state === 'pending' && row.next_at === 0)
    return !isNew && row
  })
  expect(put).toMatchObject({ state: 'pending', attempts: 0 })
  expect(put.next_at - Date.now()).toBeGreaterThan(50_000)
  expect(put.next_at - Date.now()).toBeLessThanOrEqual(60_000)
  expect(upstream.apiRequests().length).toBe(calls)
})
