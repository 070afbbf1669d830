import { describe, expect, test } from 'vitest'
import { ACTIONS } from '../../src/sandbox/console/actions.ts'
import type { Sent } from '../../src/sandbox/index.ts'
import type { Attempt } from '../../src/sandbox/webhooks/delivery.ts'
import { revento } from '../../src/webhooks/providers/revento.ts'
import type { Provider } from '../../src/webhooks/verify/provider.ts'
import { verify } from '../../src/webhooks/verify/signature.ts'
import {
  api,
  call,
  connect,
  consentId,
  EVENT,
  post,
  receiver,
  refresh,
  type Started,
  start,
  until,
  WEBHOOK_SECRET,
} from './harness.ts'

const OTHER = { event_id: 'evt_test_second' }
const errorOf = async (sandbox: Started, access: string, event = EVENT) =>
  (await api(sandbox, access, `/events/${event}`)).json['error']

test('GET /console/api lists every route, and each answers', async () => {
  const sandbox = await start()
  const { json } = await call(`${sandbox.url}/console/api`)
  const routes = json['data'] as string[]
  expect(routes).toEqual(
    expect.arrayContaining(['POST /console/api/faults', 'GET /console/api/deliveries/:id']),
  )
  expect(routes).toContain('GET /console/api')
  expect(new Set(routes).size).toBe(routes.length)
  for (const route of routes.filter(one => one.startsWith('GET ') && !one.includes(':')))
    expect([route, (await call(sandbox.url + route.slice(4))).status]).toEqual([route, 200])
  expect(routes.filter(one => one.startsWith('POST '))).toHaveLength(ACTIONS.length)
})

describe('controls', () => {
  test('expire-access-tokens: token_expired, and a refresh helps', async () => {
    const sandbox = await start()
    const tokens = await connect(sandbox)
    expect((await post(sandbox, '/console/api/expire-access-tokens')).json).toEqual({ changed: 1 })
    expect(await errorOf(sandbox, tokens.access)).toBe('token_expired')
    expect((await refresh(sandbox, tokens.refresh)).status).toBe(200)
  })

  test('revoke-refresh-tokens: the next refresh is invalid_grant, the access token works', async () => {
    const sandbox = await start()
    const tokens = await connect(sandbox)
    await post(sandbox, '/console/api/revoke-refresh-tokens')
    expect(await errorOf(sandbox, tokens.access)).toBeUndefined()
    expect((await refresh(sandbox, tokens.refresh)).json['error']).toBe('invalid_grant')
  })

  test('revoke: token_revoked, and refresh is invalid_grant', async () => {
    const sandbox = await start()
    const tokens = await connect(sandbox)
    await post(sandbox, '/console/api/revoke')
    expect(await errorOf(sandbox, tokens.access)).toBe('token_revoked')
    expect((await refresh(sandbox, tokens.refresh)).json['error']).toBe('invalid_grant')
  })

  test.each(['expire-access-tokens', 'revoke'])(
    '%s with an event id leaves other events alone',
    async control => {
      const sandbox = await start()
      const [mine, other] = [await connect(sandbox), await connect(sandbox, OTHER)]
      await post(sandbox, `/console/api/${control}`, { event_id: EVENT })
      expect(await errorOf(sandbox, mine.access)).toMatch(/^token_/)
      expect(await errorOf(sandbox, other.access, OTHER.event_id)).toBeUndefined()
      expect((await post(sandbox, `/console/api/${control}`, { event_id: 'evt_nobody' })).status).toBe(404)
    },
  )

  test('expire-refresh-tokens: the next refresh is invalid_grant, the installation stays', async () => {
    const sandbox = await start()
    const tokens = await connect(sandbox)
    expect((await post(sandbox, '/console/api/expire-refresh-tokens')).json).toEqual({ changed: 1 })
    expect((await refresh(sandbox, tokens.refresh)).json['error']).toBe('invalid_grant')
    expect(await errorOf(sandbox, tokens.access)).toBeUndefined()
  })

  test.each([
    ['archive', 'archived'],
    ['suspend', 'suspended'],
  ])('%s ends installations as %s with token_revoked, and a new consent heals', async (control, ended) => {
    const sandbox = await start()
    const tokens = await connect(sandbox)
    expect((await post(sandbox, `/console/api/${control}`)).json).toEqual({ changed: 1 })
    expect(await errorOf(sandbox, tokens.access)).toBe('token_revoked')
    expect((await refresh(sandbox, tokens.refresh)).json['error']).toBe('invalid_grant')
    const { json } = await call(`${sandbox.url}/console/api/installations`)
    expect(json['data']).toMatchObject([{ ended }])
    expect(await errorOf(sandbox, (await connect(sandbox)).access)).toBeUndefined()
  })

  test.each([
    ['revoke', 'data.deletion_required', 2],
    ['archive', 'data.deletion_required', 2],
    ['suspend', 'integration.suspended', 1],
  ])('%s tells the app by %s only when asked', async (control, type, count) => {
    const hook = await receiver()
    const sandbox = await start({ webhookUrl: hook.url })
    for (const tell of [false, true]) {
      await connect(sandbox)
      await connect(sandbox, OTHER)
      await post(sandbox, `/console/api/${control}`, { tell })
      const { json } = await call(`${sandbox.url}/console/api/deliveries`)
      expect((json['data'] as { type: string }[]).map(row => row.type)).toEqual(
        Array(tell ? count : 0).fill(type),
      )
    }
    await until(() => hook.received.length === count)
    const events = hook.received.map(({ body }) => JSON.parse(body).event_id as string | null)
    expect(new Set(events)).toEqual(new Set(count === 1 ? [null] : [EVENT, OTHER.event_id]))
  })
})

describe('webhooks', () => {
  test('a body is sent and signed byte for byte, whatever it is', async () => {
    const hook = await receiver()
    const sandbox = await start({ webhookUrl: hook.url })
    const body = '{ "broken": é\r\n'
    const { json } = await post(sandbox, '/console/api/webhooks', { type: 'activity.updated', body })
    await until(() => hook.received.length === 1)
    const [received] = hook.received
    expect(received?.body).toBe(body)
    const headers = received?.headers ?? {}
    const secrets = { current: WEBHOOK_SECRET }
    expect(verify(revento, secrets, headers, Buffer.from(body), sandbox.runtime.now()).ok).toBe(true)
    const { json: detail } = await call(`${sandbox.url}/console/api/deliveries/${json['delivery_id']}`)
    expect(detail).toMatchObject({ body, envelope_id: null, provider: 'revento' })
  })

  test('several webhooks at once have ids of their own', async () => {
    const hook = await receiver()
    const sandbox = await start({ webhookUrl: hook.url })
    const { json } = await post(sandbox, '/console/api/webhooks', { type: 'activity.updated', count: 30 })
    await until(() => hook.received.length === 30)
    const ids = hook.received.map(({ headers }) => headers['x-revento-delivery-id'])
    expect(new Set(ids)).toEqual(new Set(json['delivery_ids'] as string[]))
    expect(new Set(hook.received.map(({ body }) => JSON.parse(body).id)).size).toBe(30)
  })

  test('the log of a webhook has the request as it was sent, the answer and why it was refused', async () => {
    const hook = await receiver(418)
    const explain = ({ provider, headers, body }: Sent) =>
      `${provider.name} ${Object.keys(headers).length} ${body.length}`
    const sandbox = await start({ webhookUrl: hook.url, explain })
    const { json } = await post(sandbox, '/console/api/webhooks', { type: 'activity.updated' })
    const url = `${sandbox.url}/console/api/deliveries/${json['delivery_id']}`
    const attempt = await until(async () => ((await call(url)).json['attempts'] as Attempt[])[0])
    const [received] = hook.received
    expect(attempt).toMatchObject({
      status: 418,
      answer: '',
      fault: null,
      autopsy: `Revento 5 ${received?.body.length}.`,
      request: { url: hook.url, body: received?.body },
    })
    expect(received?.headers).toMatchObject(attempt.request.headers)
  })

  test('other senders are sent in their own form', async () => {
    const hook = await receiver()
    const acme: Provider = {
      ...revento,
      name: 'acme',
      example: ({ type, id }) => JSON.stringify({ type, id }),
      signature: { header: 'x-acme', prefix: '', algorithm: 'sha256', encoding: 'base64' },
    }
    const sandbox = await start({
      senders: [
        { provider: revento, secret: WEBHOOK_SECRET, url: 'http://127.0.0.1:9/' },
        { provider: acme, secret: 'acme-secret', url: hook.url },
      ],
    })
    const { json } = await call(`${sandbox.url}/console/api/senders`)
    expect((json['data'] as { provider: string }[]).map(({ provider }) => provider)).toEqual([
      'revento',
      'acme',
    ])
    await post(sandbox, '/console/api/webhooks', { provider: 'acme', type: 'ping' })
    await until(() => hook.received.length === 1)
    const [received] = hook.received
    const secrets = { current: 'acme-secret' }
    const body = Buffer.from(received?.body ?? '')
    expect(verify(acme, secrets, received?.headers ?? {}, body, sandbox.runtime.now()).ok).toBe(true)
    expect(JSON.parse(received?.body ?? '')).toEqual({ id: expect.any(String), type: 'ping' })
    expect((await post(sandbox, '/console/api/webhooks', { provider: 'nobody', type: 'ping' })).status).toBe(
      404,
    )
  })

  test('data that is given is sent as it is', async () => {
    const hook = await receiver()
    const sandbox = await start({ webhookUrl: hook.url })
    const body = { type: 'application.approved', ...OTHER, data: { id: 'app_x', note: 'é' } }
    expect((await post(sandbox, '/console/api/webhooks', body)).status).toBe(202)
    await until(() => hook.received.length === 1)
    expect(JSON.parse(hook.received[0]?.body ?? '')).toMatchObject(body)
  })

  test('integration.suspended has null ids', async () => {
    const hook = await receiver()
    const sandbox = await start({ webhookUrl: hook.url })
    await post(sandbox, '/console/api/webhooks', { type: 'integration.suspended' })
    await until(() => hook.received.length === 1)
    expect(JSON.parse(hook.received[0]?.body ?? '')).toMatchObject({
      event_id: null,
      organization_id: null,
      data: {},
    })
  })

  test.each([
    [{}, 400],
    [{ type: 7 }, 400],
    [{ type: 'Not A Type' }, 400],
    [{ type: 'activity.updated', data: 'text' }, 400],
    [{ type: 'activity.updated', body: {} }, 400],
    [{ type: 'activity.updated', count: 201 }, 400],
    [{ type: 'activity.updated', event_id: ['evt_test_published'] }, 400],
    [{ type: 'activity.updated', event_id: 'evt_nobody' }, 404],
    [[], 400],
  ])('%j is refused', async (body, status) => {
    expect((await post(await start(), '/console/api/webhooks', body)).status).toBe(status)
  })
})

test('token requests are counted by outcome, without secrets', async () => {
  const sandbox = await start()
  const tokens = await connect(sandbox)
  await refresh(sandbox, tokens.refresh)
  await refresh(sandbox, tokens.refresh)
  const { json, text } = await call(`${sandbox.url}/console/api/token-requests`)
  expect(json['total']).toBe(3)
  expect(json['data']).toMatchObject([
    { grant_type: 'authorization_code', event_id: EVENT, outcome: 'issued' },
    { grant_type: 'refresh_token', event_id: EVENT, outcome: 'issued' },
    { grant_type: 'refresh_token', event_id: null, outcome: 'invalid_grant' },
  ])
  expect(text).not.toMatch(/rev_|secret/)
})

test('installations are listed', async () => {
  const sandbox = await start()
  await connect(sandbox)
  await connect(sandbox)
  const { json } = await call(`${sandbox.url}/console/api/installations`)
  expect(json['data']).toMatchObject([
    { event_id: EVENT, organization_id: 'org_test_formal', ended: 'replaced' },
    { event_id: EVENT, organization_id: 'org_test_formal', ended: null },
  ])
})

test('installations tell how long their tokens last', async () => {
  const sandbox = await start()
  const tokens = await connect(sandbox)
  await refresh(sandbox, tokens.refresh)
  const { json } = await call(`${sandbox.url}/console/api/installations`)
  expect(json['data']).toMatchObject([
    {
      access_tokens: 2,
      access_expires_at: '2026-12-01T11:00:00.000Z',
      refresh_expires_at: '2027-03-01T10:00:00.000Z',
    },
  ])
})

describe('home page', () => {
  test('the home page says what it is, what it chose, and what happened', async () => {
    const sandbox = await start()
    await connect(sandbox)
    const { text, headers } = await call(`${sandbox.url}/`)
    for (const part of ['a pretend Revento', 'What this sandbox chose', 'evt_test_second', 'Expire now'])
      expect(text).toContain(part)
    expect(headers['content-security-policy']).toContain("form-action 'self';")
  })

  test('the forms of the home page do the same and lead back', async () => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    const answer = await call(`${sandbox.url}/console/revoke`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' },
      body: `event_id=${EVENT}`,
    })
    expect([answer.status, answer.headers.location]).toEqual([303, '/?done=revoke&count=1'])
    expect(await errorOf(sandbox, access)).toBe('token_revoked')
  })
})

describe('requests of other origins', () => {
  const foreign: [string, Record<string, string>][] = [
    ['cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['same-site', { 'sec-fetch-site': 'same-site' }],
    ['a foreign Origin', { origin: 'https://evil.example' }],
    ['an opaque Origin', { origin: 'null' }],
    ['a rebound Host', { host: 'evil.example' }],
  ]
  test.each(foreign)('%s changes nothing', async (_name, headers) => {
    const sandbox = await start()
    const { access } = await connect(sandbox)
    for (const path of ['/console/api/revoke', '/console/revoke']) {
      const answer = await post(sandbox, path, undefined, headers)
      expect([answer.status, answer.json['error']]).toEqual([403, 'cross_origin'])
    }
    expect(await errorOf(sandbox, access)).toBeUndefined()
  })

  test('a rebound Host reads no page', async () => {
    const { url } = await start()
    for (const path of ['/', '/webhooks', '/console/api/deliveries'])
      expect((await call(`${url}${path}`, { headers: { host: 'evil.example' } })).status).toBe(403)
  })

  test('a decision posted by another site is refused', async () => {
    const sandbox = await start()
    const init = {
      method: 'POST' as const,
      headers: { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'cross-site' },
      body: `consent=${await consentId(sandbox)}&decision=authorize`,
    }
    expect((await call(`${sandbox.url}/oauth/authorize`, init)).status).toBe(403)
  })

  test.each(['text/plain', 'application/x-www-form-urlencoded'])(
    '%s is not a body for the API',
    async type => {
      const sandbox = await start()
      const { access } = await connect(sandbox)
      const init = { method: 'POST' as const, headers: { 'content-type': type }, body: '{}' }
      expect((await call(`${sandbox.url}/console/api/revoke`, init)).status).toBe(415)
      expect(await errorOf(sandbox, access)).toBeUndefined()
    },
  )
})
