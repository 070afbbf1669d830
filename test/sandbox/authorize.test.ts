import { describe, expect, test } from 'vitest'
import { authorizeUrl, call, consentId, decide, EVENT, location, REDIRECT_URI, start } from './harness.ts'

describe('a request that cannot be trusted stays on the sandbox', () => {
  test.each([
    ['an unknown client_id', { client_id: 'somebody' }],
    ['no client_id', { client_id: undefined }],
    ['a redirect_uri with a trailing slash', { redirect_uri: `${REDIRECT_URI}/` }],
    ['a redirect_uri in other case', { redirect_uri: 'http://LOCALHOST:3000/callback' }],
    ['no redirect_uri', { redirect_uri: undefined }],
  ])('a request with %s is an error page and no redirect', async (_name, overrides) => {
    const answer = await call(authorizeUrl(await start(), overrides))
    expect(answer.status).toBe(400)
    expect(answer.headers.location).toBeUndefined()
    expect(answer.text).not.toContain('name="consent"')
  })

  test.each(['client_id', 'redirect_uri'])('a repeated %s is an error page', async name => {
    const url = authorizeUrl(await start())
    const value = new URL(url).searchParams.get(name) ?? ''
    const answer = await call(`${url}&${name}=${encodeURIComponent(value)}`)
    expect([answer.status, answer.headers.location]).toEqual([400, undefined])
  })
})

describe('other errors are redirected with state', () => {
  test.each([
    ['response_type=token', { response_type: 'token' }, 'unsupported_response_type'],
    ['no code_challenge', { code_challenge: undefined }, 'invalid_request'],
    ['a padded code_challenge', { code_challenge: `${'a'.repeat(43)}=` }, 'invalid_request'],
    ['the plain method', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['no method', { code_challenge_method: undefined }, 'invalid_request'],
    ['an unknown event', { event_id: 'evt_nobody' }, 'invalid_request'],
    ['no event', { event_id: undefined }, 'invalid_request'],
    ['no scope', { scope: undefined }, 'invalid_scope'],
    ['an unknown scope', { scope: 'event.read event.write' }, 'invalid_scope'],
    ['scopes of both flows', { scope: 'event.read profile.read' }, 'invalid_scope'],
    ['a sign-in for an event that is not connected', { scope: 'profile.read' }, 'access_denied'],
  ])('%s is redirected with its error and the state', async (_name, overrides, error) => {
    const answer = await call(authorizeUrl(await start(), overrides))
    expect(answer.status).toBe(302)
    expect(answer.headers.location).toMatch(`${REDIRECT_URI}?`)
    expect(location(answer).searchParams.get('error')).toBe(error)
    expect(location(answer).searchParams.get('state')).toBe('state-1')
  })

  test('a repeated scope is invalid_request', async () => {
    const answer = await call(`${authorizeUrl(await start())}&scope=event.read`)
    expect(location(answer).searchParams.get('error')).toBe('invalid_request')
  })

  test('a missing or repeated state is not sent back', async () => {
    const sandbox = await start()
    for (const url of [authorizeUrl(sandbox, { state: undefined }), `${authorizeUrl(sandbox)}&state=x`]) {
      const { searchParams } = location(await call(url))
      expect([searchParams.get('error'), searchParams.has('state')]).toEqual(['invalid_request', false])
    }
  })
})

describe('consent', () => {
  test('the consent page shows what is asked, says that it is a sandbox, and its form leads to the redirect URI only', async () => {
    const answer = await call(authorizeUrl(await start()))
    expect(answer.status).toBe(200)
    for (const text of [
      'Sandbox',
      'Lantern Con 2027',
      EVENT,
      'org_test_formal',
      'event.read',
      'participants.read',
    ])
      expect(answer.text).toContain(text)
    const policy = String(answer.headers['content-security-policy'])
    expect(policy).toContain("form-action 'self' http://localhost:3000;")
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe')
    expect(answer.text).not.toMatch(/<style|<script| style=| on\w+=/)
  })

  test('the stylesheet of the consent page is served', async () => {
    const answer = await call(`${(await start()).url}/sandbox.css`)
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'text/css; charset=utf-8'])
  })

  test('Authorize redirects with code and the exact state', async () => {
    const sandbox = await start()
    const state = 'a&b=c d/é'
    const answer = await decide(sandbox, await consentId(sandbox, { state }), 'authorize')
    expect(answer.status).toBe(303)
    expect([...location(answer).searchParams.keys()]).toEqual(['code', 'state'])
    expect(location(answer).searchParams.get('state')).toBe(state)
  })

  test('Decline redirects with access_denied and no code', async () => {
    const sandbox = await start()
    const { searchParams } = location(await decide(sandbox, await consentId(sandbox), 'decline'))
    expect(Object.fromEntries(searchParams)).toEqual({ error: 'access_denied', state: 'state-1' })
  })

  test('a decision counts once', async () => {
    const sandbox = await start()
    const id = await consentId(sandbox)
    await decide(sandbox, id, 'decline')
    sandbox.runtime.advance(2_000)
    const again = await decide(sandbox, id, 'authorize')
    expect([again.status, again.headers.location]).toEqual([400, undefined])
  })

  test('a second click gets what the first one got, whichever button it was on', async () => {
    const sandbox = await start()
    const id = await consentId(sandbox)
    const first = await decide(sandbox, id, 'authorize')
    expect(location(first).searchParams.get('code')).not.toBeNull()
    for (const decision of ['authorize', 'decline']) {
      sandbox.runtime.advance(30)
      const second = await decide(sandbox, id, decision)
      expect([second.status, second.headers.location]).toEqual([303, first.headers.location])
    }
  })

  test('a decision after ten minutes is refused', async () => {
    const sandbox = await start()
    const id = await consentId(sandbox)
    sandbox.runtime.advance(600_000)
    expect((await decide(sandbox, id, 'authorize')).status).toBe(400)
  })

  test('HEAD does not stand in for GET', async () => {
    expect((await call(authorizeUrl(await start()), { method: 'HEAD' })).status).toBe(404)
  })
})
