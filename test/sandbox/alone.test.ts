import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { node } from '../helpers/child.ts'
import { createClient } from '../helpers/client.ts'
import { testFolder } from '../helpers/folder.ts'
import { until } from '../helpers/wait.ts'

const CLI = fileURLToPath(new URL('../../src/cli/develop/sandbox.ts', import.meta.url))
// RFC 7636, appendix B.
const VERIFIER = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk'
const CHALLENGE = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM'

test('npm run sandbox serves a program in any language: consent, tokens, a list, webhooks, and a reset', async () => {
  const types: unknown[] = []
  const receiver = createServer((request, response) => {
    types.push(request.headers['x-revento-event'])
    request.resume().on('end', () => response.end('ok'))
  })
  await new Promise<void>(resolve => receiver.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void receiver.close())
  const own = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`
  const redirectUri = `${own}/callback`
  const args = ['--redirect-uri', redirectUri, '--webhook-url', `${own}/hook`, '--port', '0']
  const child = node([CLI, ...args], { cwd: testFolder() })
  await child.says('its console')
  const said = (form: RegExp) => form.exec(child.output.out)?.[1] ?? ''
  const url = said(/Its auth base is (\S+),/)
  const client = createClient()

  const asked = new URLSearchParams({
    response_type: 'code',
    client_id: said(/REVENTO_CLIENT_ID=(\S+)/),
    redirect_uri: redirectUri,
    scope: 'event.read participants.read',
    event_id: 'evt_test_published',
    state: 'demo-state-123',
    code_challenge: CHALLENGE,
    code_challenge_method: 'S256',
  })
  const page = await client.get(`${url}/oauth/authorize?${asked}`)
  const consent = /name="consent" value="([^"]+)"/.exec(page.text)?.[1] ?? ''
  const form = { 'content-type': 'application/x-www-form-urlencoded', origin: url }
  const decided = await client.post(
    `${url}/oauth/authorize`,
    new URLSearchParams({ consent, decision: 'authorize' }).toString(),
    form,
  )
  const code = new URL(String(decided.headers['location'])).searchParams.get('code') ?? ''
  const exchange = new URLSearchParams({
    grant_type: 'authorization_code',
    code,
    redirect_uri: redirectUri,
    client_id: said(/REVENTO_CLIENT_ID=(\S+)/),
    client_secret: said(/REVENTO_CLIENT_SECRET=(\S+)/),
    code_verifier: VERIFIER,
  })
  const tokens = await client.post(`${url}/oauth/token`, exchange.toString(), form)
  const { access_token } = JSON.parse(tokens.text)
  const list = `${url}/api/v1/events/evt_test_published/participants?limit=10`
  const ask = () => client.get(list, { authorization: `Bearer ${access_token}` })
  expect(JSON.parse((await ask()).text).data).toHaveLength(10)
  await until(() => types.length === 4)
  expect(types).toContain('application.approved')

  const deliveries = async () => JSON.parse((await client.get(`${url}/console/api/deliveries`)).text).data
  expect(await deliveries()).toHaveLength(4)
  const json = { 'content-type': 'application/json' }
  expect((await client.post(`${url}/console/api/reset`, '{}', json)).status).toBe(200)
  expect(await deliveries()).toEqual([])
  expect((await ask()).status).toBe(401)
  child.process.kill('SIGTERM')
  expect(await child.ended).toBe(0)
})

test.each([
  [[], '--redirect-uri takes a URL'],
  [['--redirect-uri', 'http://localhost:1/callback'], '--webhook-url takes a URL'],
  [['--redirect-uri', 'localhost:1', '--webhook-url', 'http://localhost:1'], '--redirect-uri takes a URL'],
])('npm run sandbox with %j says what to type', async (args, text) => {
  const child = node([CLI, ...args], { cwd: testFolder() })
  expect([await child.ended, child.output.err]).toEqual([1, expect.stringContaining(text)])
})
