import { describe, expect, test } from 'vitest'
import {
  api,
  CLIENT,
  call,
  code,
  connect,
  EVENT,
  exchange,
  refresh,
  start,
  token,
  tokensOf,
} from './harness.ts'

const path = `/events/${EVENT}`

describe('code exchange', () => {
  test('a code is exchanged for the documented fields, not to be stored', async () => {
    const sandbox = await start()
    const answer = await exchange(sandbox, await code(sandbox))
    expect(answer.status).toBe(200)
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.json).toEqual({
      access_token: expect.stringMatching(/^rev_install_[\w-]{43}$/),
      refresh_token: expect.stringMatching(/^rev_refresh_[\w-]{43}$/),
      token_type: 'Bearer',
      expires_in: 3600,
      refresh_expires_in: 7_776_000,
      scope: 'event.read participants.read',
      event_id: EVENT,
      organization_id: 'org_test_formal',
    })
  })

  test('a code used twice is invalid_grant and ends the tokens of the first use', async () => {
    const sandbox = await start()
    const used = await code(sandbox)
    const tokens = tokensOf(await exchange(sandbox, used))
    expect((await api(sandbox, tokens.access, path)).status).toBe(200)
    expect(await exchange(sandbox, used)).toMatchObject({ status: 400, json: { error: 'invalid_grant' } })
    expect((await api(sandbox, tokens.access, path)).json['error']).toBe('token_revoked')
    expect((await refresh(sandbox, tokens.refresh)).json['error']).toBe('invalid_grant')
  })

  test('a code lives 60 seconds', async () => {
    const sandbox = await start()
    const [early, late] = [await code(sandbox), await code(sandbox)]
    sandbox.runtime.advance(59_999)
    expect((await exchange(sandbox, early)).status).toBe(200)
    sandbox.runtime.advance(1)
    expect((await exchange(sandbox, late)).json).toMatchObject({ error: 'invalid_grant' })
  })

  test.each([
    ['another verifier', { code_verifier: 'w'.repeat(43) }, 400, 'invalid_grant'],
    ['a verifier that is too short', { code_verifier: 'v'.repeat(42) }, 400, 'invalid_request'],
    ['another redirect_uri', { redirect_uri: 'http://localhost:3000/callback/' }, 400, 'invalid_grant'],
    ['an unknown code', { code: 'nonsense' }, 400, 'invalid_grant'],
    ['a wrong secret', { client_secret: 'guess' }, 401, 'invalid_client'],
    ['another client', { client_id: 'guess' }, 401, 'invalid_client'],
    ['an unknown grant_type', { grant_type: 'password' }, 400, 'unsupported_grant_type'],
    ['an empty grant_type', { grant_type: '' }, 400, 'invalid_request'],
  ])('refuses %s', async (_name, overrides, status, error) => {
    const sandbox = await start()
    const answer = await exchange(sandbox, await code(sandbox), overrides)
    expect([answer.status, answer.json['error']]).toEqual([status, error])
    expect(answer.text).not.toContain('rev_')
  })

  test('a wrong verifier spends the code', async () => {
    const sandbox = await start()
    const spent = await code(sandbox)
    await exchange(sandbox, spent, { code_verifier: 'w'.repeat(43) })
    expect((await exchange(sandbox, spent)).json).toMatchObject({ error: 'invalid_grant' })
  })

  test('a repeated parameter and a JSON body are invalid_request', async () => {
    const sandbox = await start()
    const { refresh: refresh_token } = await connect(sandbox)
    const fields = { grant_type: 'refresh_token', refresh_token, ...CLIENT }
    const asForm = { 'content-type': 'application/x-www-form-urlencoded' }
    const asJson = { 'content-type': 'application/json' }
    for (const [headers, body] of [
      [asForm, `${new URLSearchParams(fields)}&refresh_token=${refresh_token}`],
      [asJson, JSON.stringify(fields)],
    ] as const) {
      const answer = await call(`${sandbox.url}/oauth/token`, { method: 'POST', headers, body })
      expect([answer.status, answer.json['error']]).toEqual([400, 'invalid_request'])
    }
    expect((await token(sandbox, fields)).status).toBe(200)
  })
})

describe('refresh', () => {
  test('a refresh rotates: a new pair, and the old access token lives on', async () => {
    const sandbox = await start()
    const first = await connect(sandbox)
    const second = tokensOf(await refresh(sandbox, first.refresh))
    expect(second.refresh).not.toBe(first.refresh)
    for (const { access } of [first, second]) expect((await api(sandbox, access, path)).status).toBe(200)
    expect((await refresh(sandbox, second.refresh)).status).toBe(200)
  })

  test('a refresh token used twice ends the whole family for good', async () => {
    const sandbox = await start()
    const first = await connect(sandbox)
    const second = tokensOf(await refresh(sandbox, first.refresh))
    for (const reused of [first, second, second])
      expect(await refresh(sandbox, reused.refresh)).toMatchObject({
        status: 400,
        json: { error: 'invalid_grant' },
      })
    expect(await api(sandbox, second.access, path)).toMatchObject({
      status: 401,
      json: { error: 'token_revoked' },
    })
  })

  test('a refresh needs the client secret, and a wrong one consumes nothing', async () => {
    const sandbox = await start()
    const { refresh: refresh_token } = await connect(sandbox)
    const fields = { grant_type: 'refresh_token', refresh_token, ...CLIENT }
    expect((await token(sandbox, { ...fields, client_secret: 'guess' })).status).toBe(401)
    expect((await token(sandbox, fields)).status).toBe(200)
  })

  test('a refresh token lives 90 days, sliding, and no longer than a year after consent', async () => {
    const sandbox = await start()
    let { refresh: current } = await connect(sandbox)
    for (const days of [80, 80, 80, 80]) {
      sandbox.runtime.advance(days * 86_400_000)
      const answer = await refresh(sandbox, current)
      expect(answer.status).toBe(200)
      current = tokensOf(answer).refresh
      if (days === 80) expect(answer.json['refresh_expires_in']).toBeLessThanOrEqual(7_776_000)
    }
    sandbox.runtime.advance(40 * 86_400_000)
    const last = await refresh(sandbox, current)
    expect(last.json['refresh_expires_in']).toBe(5 * 86_400)
    sandbox.runtime.advance(5 * 86_400_000)
    expect((await refresh(sandbox, tokensOf(last).refresh)).json['error']).toBe('invalid_grant')
  })

  test('an unused refresh token is over after 90 days', async () => {
    const sandbox = await start()
    const tokens = await connect(sandbox)
    sandbox.runtime.advance(7_776_000_000)
    expect((await refresh(sandbox, tokens.refresh)).json['error']).toBe('invalid_grant')
  })

  test('a new consent for the same event replaces the earlier installation, not that of another event', async () => {
    const sandbox = await start()
    const [old, other, current] = [
      await connect(sandbox),
      await connect(sandbox, { event_id: 'evt_test_second' }),
      await connect(sandbox),
    ]
    expect((await api(sandbox, old.access, path)).json['error']).toBe('token_revoked')
    expect((await refresh(sandbox, old.refresh)).json['error']).toBe('invalid_grant')
    expect((await refresh(sandbox, other.refresh)).status).toBe(200)
    expect((await refresh(sandbox, current.refresh)).status).toBe(200)
  })
})
