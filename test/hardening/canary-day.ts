import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished } from 'vitest'
import { providers } from '../../src/webhooks/providers/index.ts'
import { node } from '../helpers/child.ts'
import { type Client, createClient, type Reply, sessionCookie, stateOf } from '../helpers/client.ts'
import { freePort } from '../helpers/ports.ts'
import { MAIN, type Program, startProgram } from '../helpers/program.ts'
import { signedAs } from '../helpers/senders.ts'
import { openStream } from '../helpers/stream.ts' // part: page
import { certificate, tlsProxy } from '../helpers/tls-proxy.ts'
import { typed } from '../helpers/typed.ts'
import { type Answer, json, tokens, type Upstream } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { envelope, signedDelivery } from '../helpers/webhook.ts'
import { BROWSER } from '../oauth/harness.ts'
import { type Canary, canary, Findings, type Place } from './canaries.ts'

const LEAKING = new URL('leaking-handlers.ts', import.meta.url).href
const CLI = fileURLToPath(new URL('../../src/cli/', import.meta.url))
const EVENT = 'evt_canaries'

/** Makes a value with mixed case and digits, which no other text equals by accident. */
const value = (name: string) => `${name}-${randomBytes(12).toString('hex')}Zq`

/** One value for each variable that holds a secret. */
function secretSettings() {
  const key = () => randomBytes(32).toString('base64')
  const given: Record<string, string> = {
    REVENTO_CLIENT_SECRET: value('client-secret'),
    WEBHOOK_VERIFY_TOKEN: value('verify'),
    WEBHOOK_VERIFY_TOKEN_PREVIOUS: value('verify-before'),
    ENCRYPTION_KEY: key(),
    ENCRYPTION_KEY_PREVIOUS: key(),
  }
  for (const { name, secret } of providers)
    for (const end of ['', '_PREVIOUS'])
      given[`${secret.variable}${end}`] = secret.toKey ? `whsec_${key()}` : value(`${name}${end}`)
  return given
}

export interface Day {
  readonly findings: Findings
  readonly canaries: Canary[]
  readonly program: Program
  readonly settings: Readonly<Record<string, string | undefined>>
  get(client: Client, path: string, place?: Place, headers?: Record<string, string>): Promise<Reply>
  post(client: Client, path: string, body: string | Buffer, headers?: Record<string, string>): Promise<Reply>
  /** Starts the program for a start that ends by itself. */
  start(env: Record<string, string>): Promise<number>
  /** Runs a command to its end; only one runs at a time. */
  command(name: string, args: string[], env?: Record<string, string>): Promise<number>
}

/** Starts the program with a secret in every setting that takes one; every answer is kept. */
export async function beginDay(upstream: Upstream): Promise<Day> {
  const secrets = secretSettings()
  const access = value('access-thrown')
  const own = certificate()
  const port = await freePort()
  await tlsProxy(port, new URL(upstream.authBase).origin, own)
  const settings = {
    ...secrets,
    NODE_ENV: 'production',
    NODE_EXTRA_CA_CERTS: own.file,
    REVENTO_REDIRECT_URI: 'https://localhost/callback',
    REVENTO_CLIENT_ID: 'client-for-tests',
    REVENTO_AUTH_BASE: `https://localhost:${port}`,
    REVENTO_API_BASE: `https://localhost:${port}${new URL(upstream.apiBase).pathname}`,
    REVENTO_EVENT_ID: EVENT,
    METRICS_PORT: String(await freePort()),
    CANARY_ACCESS: access,
    LOG_LEVEL: 'trace',
  }
  const findings = new Findings()
  const canaries = [canary('a token in a cause', access)]
  for (const [name, secret] of Object.entries(secrets)) {
    const sent: Place[] = name === 'REVENTO_CLIENT_SECRET' ? ['token requests'] : []
    canaries.push(canary(name, secret, sent, true))
    if (name.startsWith('ENCRYPTION'))
      canaries.push(canary(`${name}, its bytes`, Buffer.from(secret, 'base64'), [], true))
  }
  const program = await startProgram({ ...settings, HANDLERS: LEAKING })
  onTestFinished(async () => void (await program.stop()))

  function keep(reply: Reply, place: Place): Reply {
    const { 'set-cookie': cookies, location, ...headers } = reply.headers
    findings.add('cookies', JSON.stringify(cookies ?? []))
    findings.add('redirects', String(location))
    findings.add('answers', JSON.stringify(headers))
    findings.add(place, reply.text)
    return reply
  }

  return {
    findings,
    canaries,
    program,
    settings,
    get: async (client, path, place = 'answers', headers = {}) =>
      keep(await client.get(program.url + path, headers), place),
    post: async (client, path, body, headers = {}) =>
      keep(await client.post(program.url + path, body, headers), 'answers'),
    async start(env) {
      const child = node([MAIN], { cwd: program.folder, env: { ...settings, ...env } })
      const code = await child.ended
      findings.add('commands', child.output.out + child.output.err)
      return Number(code)
    },
    async command(name, args, env = {}) {
      const all = { ...settings, ...env }
      const { code, out, err } = await typed(join(CLI, `${name}.ts`), args, { cwd: program.folder, env: all })
      findings.add('commands', out + err)
      return code
    },
  }
}

/** What was asked is given back, in the body and in headers, as some servers do with what they do not like. */
const echo =
  (status: number): Answer =>
  (request, response) => {
    const told = `${request.form} ${request.headers.authorization ?? ''}`
    const headers = {
      'www-authenticate': `Bearer error="${told}"`,
      'x-echo': told,
      'set-cookie': `echo=${told}`,
    }
    json(status, { error: told, message: told, error_description: told }, headers)(request, response)
  }

/** An organizer connects, is refused, loses the token and gets another; what was meant for one place is noted. */
export async function oauthDay(day: Day, upstream: Upstream): Promise<Client> {
  const { canaries, get } = day
  const client = createClient()
  const row = value('row')
  canaries.push(canary('a row of the API', row, ['page']))
  const page = json(200, { data: [{ id: 'ptp_9', name: row }], next_cursor: null, has_more: false })

  const issue = (n: number, spent: Place[] = ['token requests']) => {
    const pair = tokens({ event_id: EVENT, access_token: value('access'), refresh_token: value('refresh') })
    canaries.push(canary(`access token ${n}`, pair.access_token, ['api requests']))
    canaries.push(canary(`refresh token ${n}`, pair.refresh_token, spent))
    return json(200, pair)
  }
  async function flow(name: string, headers: Record<string, string> = {}): Promise<Reply> {
    const connect = await get(client, '/connect', 'answers')
    const state = stateOf(connect)
    const [, cookie = ''] = /=([^;]+)/.exec(String(connect.headers['set-cookie'])) ?? []
    const code = value(`code-${name}`)
    canaries.push(canary(`${name}: state`, state, ['redirects']))
    canaries.push(canary(`${name}: flow cookie`, cookie, ['cookies']))
    canaries.push(canary(`${name}: code`, code, ['token requests']))
    // Another browser first: the code must not be used.
    await get(createClient(), `/callback?code=${code}&state=${state}`)
    return get(client, `/callback?code=${code}&state=${state}`, 'page', headers)
  }

  upstream.onApi = page
  upstream.onToken = echo(400)
  expect((await flow('echoed')).status).toBe(502)
  upstream.onToken = echo(500)
  expect((await flow('echoed to a browser', BROWSER)).status).toBe(502)
  upstream.onToken = issue(1)
  expect((await flow('good')).status).toBe(200)
  const told = value('description')
  canaries.push(canary('words of the consent screen', told))
  const { text } = await get(client, `/callback?error=server_error&error_description=${told}&state=${told}`)
  expect(text).toContain('state_mismatch')

  const participants = (place: Place = 'page') => get(client, `/participants?event_id=${EVENT}`, place)
  upstream.onApi = echo(500)
  expect((await participants()).status).toBe(502)
  upstream.onApi = echo(403)
  expect((await participants()).status).toBe(502)
  let expired = true
  upstream.onApi = (request, response) =>
    (expired ? json(401, { error: 'token_expired', message: request.headers.authorization }) : page)(
      request,
      response,
    )
  upstream.onToken = echo(401)
  expect((await participants()).status).toBe(502)
  const second = issue(2)
  upstream.onToken = (request, response) => {
    expired = false
    second(request, response)
  }
  expect((await participants()).status).toBe(200)
  upstream.onApi = json(401, { error: 'token_expired' })
  upstream.onToken = echo(500)
  expect((await participants()).status).toBe(502)
  upstream.onApi = page
  // The refresh that is still owed succeeds when it is due, and handlers can call again.
  upstream.onToken = issue(3, [])

  for (const [n, { form }] of upstream.tokenRequests().entries()) {
    const verifier = form.get('code_verifier')
    if (verifier) canaries.push(canary(`verifier ${n}`, verifier, ['token requests']))
  }
  canaries.push(canary('session cookie', sessionCookie(client).value, ['cookies']))
  return client
}

/** Deliveries that handlers fail with, and refused ones; each with a person in it. */
export async function webhookDay(day: Day): Promise<void> {
  const { canaries, settings, post, get } = day
  const secret = settings['REVENTO_WEBHOOK_SECRET'] ?? ''
  const anybody = createClient()
  const person = (type: string, mayBe: readonly Place[] = ['database']) => {
    const made = { name: value('Ada'), email: `${value('ada')}@lovelace.net`, note: `${value('Note')} {` }
    for (const [what, text] of Object.entries(made)) {
      canaries.push(canary(`${type}: ${what}`, text, mayBe))
      canaries.push(canary(`${type}: ${what}, loud`, text.toUpperCase()))
    }
    return made
  }
  const word = (sender: string) => {
    const text = value(sender)
    canaries.push(canary(`${sender}: a word`, text, ['database']))
    return text
  }
  const noteMac = (what: string, headers: Record<string, string>) => {
    for (const [name, text] of Object.entries(headers))
      if (/signature$/i.test(name)) canaries.push(canary(`${what}: MAC`, text.replace(/^\w+[=:,]/, '')))
  }
  async function deliver(type: string, data: object, how: Parameters<typeof signedDelivery>[0] = {}) {
    const event = envelope({ type, event_id: EVENT, data: { participant_id: 'ptp_7', ...data } })
    const { body, headers } = signedDelivery({ secret, ...how, body: JSON.stringify(event) })
    noteMac(type, headers)
    return post(anybody, '/webhooks/revento', body, { ...headers, ...how.headers })
  }

  const careless = ['application.submitted', 'application.rejected', 'application.revision_requested']
  for (const type of [...careless, 'participant.profile_updated'])
    expect((await deliver(type, person(type))).status).toBe(200)
  // The starter shows a participant's name, and nothing else of what it was told.
  const shown = value('Shown')
  canaries.push(canary('a participant heard of', shown, ['database', 'page']))
  expect((await deliver('participant.registered', { name: shown, email: word('registered') })).status).toBe(
    200,
  )
  const before = { secret: settings['REVENTO_WEBHOOK_SECRET_PREVIOUS'] ?? '' }
  expect((await deliver('application.submitted', person('previous'), before)).status).toBe(200)
  const refused = (how: Parameters<typeof signedDelivery>[0]) =>
    deliver('application.submitted', person('refused', []), how)
  expect((await refused({ secret: settings['ENTRUPY_WEBHOOK_SECRET'] ?? '' })).status).toBe(401)
  expect((await refused({ at: Date.now() - 900_000 })).status).toBe(401)
  expect((await refused({ headers: { 'content-type': 'text/plain' } })).status).toBe(415)

  for (const provider of providers.filter(({ name }) => name !== 'revento')) {
    const key = settings[provider.secret.variable] ?? ''
    const text = word(provider.name)
    const example = String(
      provider.example({ type: provider.types[0], id: crypto.randomUUID(), at: Date.now() }),
    )
    const body = provider.body === 'json' ? example.replace('{', `{"text":"${text}",`) : `${example} ${text}`
    const { headers } = signedAs(provider, { body, secret: key })
    noteMac(provider.name, headers)
    const { status } = await post(anybody, `/webhooks/${provider.name}`, body, headers)
    expect(provider.name === 'aghanim' ? [500] : [200, 202, 204], provider.name).toContain(status)
    const wrong = signedAs(provider, {
      body,
      secret: key.replace(/.{6}$/, 'AAAAA='),
    })
    await post(anybody, `/webhooks/${provider.name}`, body, wrong.headers)
  }
  const guess = value('guess')
  canaries.push(canary('a guess of the verify token', guess))
  expect((await get(anybody, `/webhooks/handshake?verify_token=${guess}`)).status).toBe(401)
  const { WEBHOOK_VERIFY_TOKEN: token } = settings
  expect((await get(anybody, `/webhooks/handshake?verify_token=${token}`)).status).toBe(200)
  const hand = word('handshake')
  await post(anybody, '/webhooks/handshake', JSON.stringify({ hand }), { 'content-type': 'application/json' })
}

/** Everything the organizer's browser can ask for, and what it is refused. */
export async function pageDay(day: Day, client: Client): Promise<void> {
  const { canaries, get, post, findings, settings } = day
  const { text } = await get(client, '/', 'page', BROWSER)
  const [, form = ''] = /name="form_token" value="([^"]+)"/.exec(text) ?? []
  canaries.push(canary('form token', form, ['page']))
  // part: page {
  const stream = await openStream(client, `${day.program.url}/deliveries/stream`)
  await until(() => stream.text().length > 500)
  findings.add('page', stream.text())
  stream.close()
  // part: page }
  const { data } = (await get(client, '/deliveries', 'page')).json<{ data: { id: string }[] }>()
  expect(data.length).toBeGreaterThan(4)
  for (const { id } of data) {
    await get(client, `/deliveries/${id}`, 'page')
    await get(client, `/deliveries/${id}`, 'page', BROWSER)
  }
  const key = `event_id=${EVENT}&organization_id=org_test_formal`
  await get(client, `/disconnect?${key}`, 'page', BROWSER) // part: page
  const type = { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'same-origin' }
  expect((await post(client, '/disconnect', `${key}&form_token=${form.slice(1)}`, type)).status).toBe(403)
  expect((await post(client, `/deliveries/${data[0]?.id}/replay`, `form_token=${form}`, type)).status).toBe(
    409,
  )
  for (const path of ['/health', '/ready', '/nothing', '/%ZZ', '/participants?event_id=evt_x&event_id=evt_y'])
    await get(createClient(), path)
  const metrics = await createClient().get(`http://127.0.0.1:${settings['METRICS_PORT']}/metrics`)
  expect(metrics.status).toBe(200)
  findings.add('metrics', metrics.text)
}

/** The database is taken away under the app; every door answers 503, and it goes on when it is back. */
export async function withoutDatabase(day: Day): Promise<void> {
  const { program, get, post, settings } = day
  const path = join(program.folder, 'data', 'revento.db')
  const client = createClient()
  const state = stateOf(await get(client, '/connect'))
  renameSync(path, `${path}.away`)
  expect((await get(client, `/callback?code=abc&state=${state}`)).status).toBe(503)
  expect((await get(client, '/connect')).status).toBe(503)
  const { body, headers } = signedDelivery({ secret: settings['REVENTO_WEBHOOK_SECRET'] ?? '' })
  expect((await post(client, '/webhooks/revento', body, headers)).status).toBe(503)
  expect((await get(client, '/ready')).status).toBe(503)
  renameSync(`${path}.away`, path)
  await until(async () => (await get(client, '/connect')).status === 302)
}

/** Every file below the program's folder, the database's own apart from the others. */
export function keepFiles({ program, findings }: Day): string[] {
  const names = readdirSync(program.folder, { recursive: true }).map(String)
  const files = names.filter(name => statSync(join(program.folder, name)).isFile())
  for (const name of files) {
    const place = /\.db(-wal|-shm)?$/.test(name) ? 'database' : 'other files'
    if (existsSync(join(program.folder, name))) findings.add(place, readFileSync(join(program.folder, name)))
  }
  return files
}

export function keepRequests({ findings }: Day, upstream: Upstream): void {
  for (const { method, path, query, headers, form } of upstream.requests)
    findings.add(
      path === '/oauth/token' ? 'token requests' : 'api requests',
      JSON.stringify([method, path, [...query], headers, [...form]]),
    )
}
