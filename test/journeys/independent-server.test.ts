import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest'
import { startApp, type TestApp } from '../helpers/app.ts'
import { type Client, createClient, type Reply } from '../helpers/client.ts'
import { type IndependentServer, startIndependentServer } from '../helpers/independent-server.ts'

async function start(): Promise<{ app: TestApp; server: IndependentServer; browser: Client }> {
  const server = await startIndependentServer()
  const app = await startApp({ authBase: server.authBase, apiBase: server.apiBase })
  onTestFinished(async () => {
    await app.close()
    await server.close()
  })
  server.open(app.config.redirectUri)
  return { app, server, browser: createClient() }
}

// It warns at length that its memory and keys are for development.
beforeEach(() => {
  for (const method of ['info', 'warn'] as const) vi.spyOn(console, method).mockReturnValue()
})
afterEach(() => vi.restoreAllMocks())

const location = (reply: Reply, base: string) => new URL(String(reply.headers['location']), base).href
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

/** Walks through the server's own pages, login and consent, until it sends the browser back to the app. */
async function consent(server: IndependentServer, authorizeUrl: string, decline = false): Promise<string> {
  const visitor = createClient()
  let url = authorizeUrl
  for (let step = 0; step < 12; step++) {
    const reply = await visitor.get(url)
    if (reply.status !== 200) {
      url = location(reply, url)
    } else {
      const [, action = '', prompt = ''] =
        /<form[^>]* action="([^"]+)"[\s\S]*?name="prompt" value="([^"]+)"/.exec(reply.text) ?? []
      const sent =
        decline && prompt === 'consent'
          ? await visitor.get(`${action}/abort`)
          : await visitor.post(action, `prompt=${prompt}&login=organizer&password=any`, FORM)
      url = location(sent, server.authBase)
    }
    if (!url.startsWith(server.authBase)) return url
  }
  throw new Error(`no way back to the app from ${url}`)
}

async function authorizeUrl(app: TestApp, browser: Client, eventId: string): Promise<string> {
  return location(await browser.get(`${app.url}/connect?event_id=${eventId}`), app.url)
}

const participants = (app: TestApp, browser: Client, eventId: string) =>
  browser.get(`${app.url}/participants?event_id=${eventId}`)

const page = { data: [{ id: 'ptp_independent' }], next_cursor: null, has_more: false }

test('connect, login, consent, callback, and two refreshes with rotation', async () => {
  const { app, server, browser } = await start()
  const back = await consent(server, await authorizeUrl(app, browser, 'evt_one'))
  expect(back.startsWith(`${app.config.redirectUri}?code=`)).toBe(true)
  const connected = await browser.get(back)
  expect(connected.json()).toEqual({ message: 'Connected!', event_id: 'evt_one', participants: page })

  for (let round = 0; round < 2; round++) {
    server.expireAccessTokens()
    const reply = await participants(app, browser, 'evt_one')
    expect(reply.json()).toEqual(page)
  }
  expect(server.apiStatuses).toEqual([200, 401, 200, 401, 200])
  expect(server.tokenForms.map(form => form.get('grant_type'))).toEqual([
    'authorization_code',
    'refresh_token',
    'refresh_token',
  ])
  const used = server.tokenForms.slice(1).map(form => form.get('refresh_token'))
  expect(new Set(used).size).toBe(2)
})

test('the server insists on PKCE: a code comes only for the challenge of the flow', async () => {
  const { app, server, browser } = await start()
  const without = new URL(await authorizeUrl(app, browser, 'evt_one'))
  without.searchParams.delete('code_challenge')
  without.searchParams.delete('code_challenge_method')
  expect(new URL(await consent(server, without.href)).searchParams.get('error')).toBe('invalid_request')

  const first = new URL(await consent(server, await authorizeUrl(app, browser, 'evt_one')))
  const second = new URL(await consent(server, await authorizeUrl(app, browser, 'evt_one')))
  second.searchParams.set('code', first.searchParams.get('code') ?? '')
  const reply = await browser.get(second.href)
  expect([reply.status, reply.json()['error']]).toEqual([400, 'code_rejected'])
  expect((await browser.get(first.href)).status).toBe(200)
})

test('a declined consent is told as declined, and no token is asked for', async () => {
  const { app, server, browser } = await start()
  const back = await consent(server, await authorizeUrl(app, browser, 'evt_one'), true)
  const reply = await browser.get(back)
  expect([reply.status, reply.json()['error']]).toEqual([400, 'access_denied'])
  expect(server.tokenForms).toEqual([])
})

test('a refresh token that somebody else has used ends the family: re-consent, then all is well again', async () => {
  const { app, server, browser } = await start()
  await browser.get(await consent(server, await authorizeUrl(app, browser, 'evt_one')))
  server.expireAccessTokens()
  await participants(app, browser, 'evt_one')
  const stolen = server.tokenForms.at(-1) ?? new URLSearchParams()
  const thief = await createClient().post(`${server.authBase}/oauth/token`, stolen.toString(), FORM)
  expect(thief.json()['error']).toBe('invalid_grant')

  server.expireAccessTokens()
  const refused = await participants(app, browser, 'evt_one')
  expect(refused.status).toBe(409)
  expect(refused.json()).toMatchObject({ error: 'reconsent_required' })
  const sent = server.tokenForms.length
  expect((await participants(app, browser, 'evt_one')).status).toBe(409)
  expect(server.tokenForms).toHaveLength(sent)
  const again = await browser.get(await consent(server, await authorizeUrl(app, browser, 'evt_one')))
  expect(again.json()).toMatchObject({ message: 'Connected!', participants: page })
  expect((await participants(app, browser, 'evt_one')).json()).toEqual(page)
})

test('a token is good for its own event only', async () => {
  const { app, server, browser } = await start()
  await browser.get(await consent(server, await authorizeUrl(app, browser, 'evt_one')))
  await browser.get(await consent(server, await authorizeUrl(app, browser, 'evt_two')))
  expect((await participants(app, browser, 'evt_one')).status).toBe(200)
  expect((await participants(app, browser, 'evt_two')).status).toBe(200)
  expect(server.apiStatuses).toEqual([200, 200, 200, 200])
})
