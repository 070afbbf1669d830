import { existsSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { request } from 'undici'
import { expect, onTestFinished, test } from 'vitest'
import { differencesIn } from '../../src/revento/drift.ts'
import { createClient } from '../helpers/client.ts'
import { insertDelivery } from '../helpers/deliveries.ts'
import { typed } from '../helpers/typed.ts'
import { until } from '../helpers/wait.ts'
import { EVENT } from '../oauth/harness.ts'
import { connectOrganizer, me, signIn, startWorld, type World } from '../oauth/login-harness.ts'

const CLI = fileURLToPath(new URL('../../src/cli/develop/go-live.ts', import.meta.url))
const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const CANARY = 'canary7f3a'

interface Told {
  seen: string[]
  differences: { said: string; assumed: string; breaks: string }[]
}

async function goLive({ app }: World) {
  const { store } = app.config
  const env = {
    REVENTO_CLIENT_ID: 'client-for-tests',
    REVENTO_CLIENT_SECRET: 'client-secret-for-tests',
    REVENTO_WEBHOOK_SECRET: 'webhook-secret-for-tests',
    DATABASE_URL: store.kind === 'sqlite' ? `sqlite:${store.path}` : store.url,
  }
  const [asJson, asText] = [
    await typed(CLI, ['--platform', '--json'], { env }),
    await typed(CLI, ['--platform'], { env }),
  ]
  return { ...asJson, told: JSON.parse(asJson.out) as Told, text: asText.out }
}

interface Answer {
  status: number
  headers: IncomingHttpHeaders
  body: string
}
type Alter = (path: string, answer: Answer) => Answer

/** Stands before `target()`, and changes what it answers; headers of requests go through `inbound`. */
async function startProxy(
  target: () => string,
  alter: Alter,
  inbound: (headers: Record<string, string>) => Record<string, string> = headers => headers,
) {
  const server = createServer(async (asked, answer) => {
    const { host: _host, connection: _connection, ...given } = asked.headers as Record<string, string>
    const sent = await request(target() + asked.url, {
      method: asked.method as 'GET',
      headers: inbound(given),
      body: asked.method === 'POST' ? await text(asked) : null,
    })
    const { status, headers, body } = alter(asked.url ?? '', {
      status: sent.statusCode,
      headers: sent.headers,
      body: await sent.body.text(),
    })
    const { 'content-length': _length, 'transfer-encoding': _coding, connection: _kept, ...kept } = headers
    answer.writeHead(status, kept).end(body)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** What an ordinary day brings: a consent, lists, a refresh, a sign-in, webhooks. */
async function ordinaryDay(world: World) {
  const organizer = await connectOrganizer(world)
  const list = (query = '') =>
    organizer.get(`${world.app.url}/participants?event_id=${EVENT}${query}`).then(reply => reply.status)
  expect(await list('&limit=50')).toBe(200)
  await organizer.get(`${world.app.url}/`, { accept: 'text/html' })
  await me(world, await signIn(world, 'usr_001'))
  await world.control('expire-access-tokens')
  await list()
  await world.control('webhooks', { type: 'application.approved', event_id: EVENT })
  return { list }
}

const handled = ({ app }: World, count: number) =>
  until(async () => (await app.database.query.selectFrom('inbox').select('id').execute()).length >= count)

test('our own sandbox differs in nothing from what is expected', async () => {
  const world = await startWorld()
  await ordinaryDay(world)
  await world.control('revoke-refresh-tokens')
  await world.control('expire-access-tokens')
  await createClient().get(world.app.url)
  await handled(world, 3)
  // Noted by a version that expected something else.
  const earlier = { platform: 'real', contract: 'earlier', said: 'page has pages too' } as const
  await world.app.database.query.insertInto('platform_drift').values(earlier).execute()
  const { code, told, text: said } = await goLive(world)
  expect(told.differences).toEqual([])
  expect(told.seen).toEqual(
    expect.arrayContaining(['me/application', 'me/profile', 'participants', 'token answer', 'webhook']),
  )
  expect(told.seen).toContain('event') // part: page
  expect(said).toContain('Nothing is different')
  expect(code).toBe(0)
})

/** The ways in which the platform is another one, each with what the report has to say of it. */
const EXPECTED = [
  'token answer has session_state too',
  'token answer has no refresh_expires_in',
  'token answer: expires_in is not an hour in seconds',
  'token answer: access_token is not a text that begins with rev_install_',
  'token error: invalid_grant is not 400',
  'answer does not echo the request id',
  'X-RateLimit-Reset is not in seconds since 1970',
  'X-RateLimit-Limit is none of 30, 500, 20, 200',
  'page has no next_cursor',
  'participant: id is not an id that begins with ptp_',
  'participant: submitted_at is not a time in ISO 8601 with Z',
  'participant has phone too',
  'participant has one of another kind of name too',
  'event has no description', // part: page
  'error has no request_id',
  'error has the code token_outdated',
  'webhook has the event type weather.changed',
  'webhook has attempt too',
  'webhook: delivery id is not a UUID of version 4',
]

test('a platform that is another one in eighteen ways has each of them named, and no value in the report', async () => {
  let sandboxUrl = ''
  let isOver = false
  const alter: Alter = (path, { status, headers, body }) => {
    if (!/^\/(oauth\/token|api\/)/.test(path)) return { status, headers, body }
    const json = JSON.parse(body.replaceAll('rev_install_', 'rev_inst_')) as Record<string, unknown>
    if (path === '/oauth/token') {
      if (status !== 200) return { status: 401, headers, body }
      delete json['refresh_expires_in']
      return { status, headers, body: JSON.stringify({ ...json, expires_in: 1800, session_state: CANARY }) }
    }
    const other = {
      ...headers,
      'x-ratelimit-reset': '17',
      'x-ratelimit-limit': '60',
      'x-revento-request-id': CANARY,
    }
    if (status !== 200) {
      delete json['request_id']
      const error = isOver ? 'token_outdated' : json['error']
      return { status, headers: other, body: JSON.stringify({ ...json, error, message: CANARY }) }
    }
    if (Array.isArray(json['data'])) {
      json['data'] = (json['data'] as Record<string, unknown>[]).map(row => ({
        ...row,
        id: String(row['id']).replace('ptp_', `par_${CANARY}`),
        name: CANARY,
        phone: CANARY,
        submitted_at: String(row['submitted_at']).replace('Z', '+00:00'),
        [CANARY]: CANARY,
        custom_form_fields: { [CANARY]: CANARY },
      }))
      if (json['next_cursor'] === null) delete json['next_cursor']
    } else if (json['title']) {
      delete json['description']
      json['title'] = CANARY
    }
    return { status, headers: other, body: JSON.stringify(json) }
  }
  const reversed = (headers: Record<string, string>) => ({
    ...headers,
    ...(headers['authorization'] && {
      authorization: headers['authorization'].replace('rev_inst_', 'rev_install_'),
    }),
  })
  const proxy = await startProxy(() => sandboxUrl, alter, reversed)
  let appUrl = ''
  const hooks = await startProxy(
    () => appUrl,
    (_path, answer) => answer,
    headers => ({
      ...headers,
      'x-revento-delivery-id': `${CANARY}-${headers['x-revento-delivery-id']}`,
    }),
  )
  const world = await startWorld({ authBase: proxy, apiBase: `${proxy}/api/v1` }, `${hooks}/webhooks/revento`)
  sandboxUrl = world.sandboxUrl
  appUrl = world.app.url
  const { list } = await ordinaryDay(world)
  const envelope = {
    ...{ id: `evt_${CANARY}`, type: 'weather.changed', occurred_at: '2026-11-30T10:00:00Z' },
    ...{ event_id: EVENT, organization_id: 'org_test_formal', data: { [CANARY]: CANARY }, attempt: 1 },
  }
  await world.control('webhooks', { type: 'weather.changed', body: JSON.stringify(envelope) })
  await handled(world, 4)
  isOver = true
  await world.control('expire-access-tokens')
  await list()
  isOver = false
  await world.control('revoke-refresh-tokens')
  await list()
  const { code, told, out, text: said } = await goLive(world)
  const named = told.differences.map(difference => difference.said)
  for (const way of EXPECTED) expect(named).toContain(way)
  expect([out, said, JSON.stringify(await noted(world))].filter(text => text.includes(CANARY))).toEqual([])
  for (const { assumed, breaks } of told.differences) {
    expect([assumed, existsSync(`${ROOT}/${assumed}`)]).toEqual([assumed, true])
    expect(breaks).not.toBe('')
  }
  expect(code).toBe(1)
})

const RATE_HEADERS = {
  'x-ratelimit-limit': '30',
  'x-ratelimit-remaining': '20',
  'x-ratelimit-reset': '1790000000',
}

function ofApi(status: number, body: object, headers: Record<string, string> = RATE_HEADERS) {
  const requestId = '6f1d3a52-8f0e-4c67-9b1a-3c5d7e9f0a1b'
  const about = { 'content-type': 'application/json', 'x-revento-request-id': requestId }
  const answer = { status, headers: { ...about, ...headers }, text: JSON.stringify(body) }
  return differencesIn({ door: 'api', path: '/events/evt_1/activities', limit: 2, requestId, answer })
    .differences
}

test('a code of the guide with a status of 500 or more is named, and another such answer is none of its own', () => {
  const message = { message: 'm', request_id: '6f1d3a52-8f0e-4c67-9b1a-3c5d7e9f0a1b' }
  const later = { ...RATE_HEADERS, 'retry-after': '2' }
  expect(ofApi(503, { error: 'rate_limit_exceeded', ...message }, later)).toEqual([
    'error rate_limit_exceeded is not 429',
  ])
  expect(ofApi(503, { error: 'maintenance', ...message })).toEqual([])
})

test('a rate header that is missing hides no difference of the others', () => {
  const { 'x-ratelimit-remaining': _remaining, ...two } = RATE_HEADERS
  const page = { data: [], next_cursor: null, has_more: false }
  expect(ofApi(200, page, { ...two, 'x-ratelimit-limit': '1000', 'x-ratelimit-reset': '17' })).toEqual([
    'answer has no X-RateLimit-Remaining',
    'X-RateLimit-Limit is none of 30, 500, 20, 200',
    'X-RateLimit-Reset is not in seconds since 1970',
  ])
})

test('a page longer than was asked for is named', () => {
  const page = { next_cursor: null, has_more: false }
  expect(ofApi(200, { ...page, data: [{}, {}] })).toEqual([])
  expect(ofApi(200, { ...page, data: [{}, {}, {}] })).toEqual(['page has more rows than its limit'])
})

test('an envelope that is refused though rightly signed is named, and none that is not', async () => {
  const world = await startWorld()
  const { control, app } = world
  const sent = { occurred_at: 1_790_000_000, event_id: EVENT, data: { [CANARY]: CANARY } }
  const body = JSON.stringify({ id: `evt_${CANARY}`, type: 'activity.updated', ...sent })
  const forged = await createClient().post(`${app.url}/webhooks/revento`, body, {
    'content-type': 'application/json',
    'x-revento-timestamp': String(Math.floor(Date.now() / 1000)),
    'x-revento-signature': `sha256=${'0'.repeat(64)}`,
  })
  expect(forged.status).toBe(401)
  expect(await noted(world)).toEqual([])
  await control('webhooks', { type: 'activity.updated', body })
  await until(async () => (await noted(world)).length > 2)
  const { told, out } = await goLive(world)
  expect(told.seen).toContain('webhook')
  expect(told.differences.map(({ said }) => said)).toEqual([
    'webhook has no organization_id',
    'webhook: occurred_at is not a time in ISO 8601 with Z',
  ])
  expect(out).not.toContain(CANARY)
})

const noted = ({ app }: World) => app.database.query.selectFrom('platform_drift').selectAll().execute()

test('repeats are looked at by their distances; one after more than 300 s was signed anew', async () => {
  const world = await startWorld()
  const { query } = world.app.database
  const repeated = async (seconds: number[]) => {
    const delivery_id = '6f1d3a52-8f0e-4c67-9b1a-3c5d7e9f0a1b'
    for (const table of ['outcomes', 'deliveries'] as const) await query.deleteFrom(table).execute()
    for (const second of seconds)
      await insertDelivery(query, {
        ...{ delivery_id, envelope_id: 'evt_1', type: 'activity.updated', finished_at: 1 },
        received_at: second * 1000,
      })
    return (await goLive(world)).told
  }
  expect(await repeated([0, 1, 3, 7, 15])).toMatchObject({ seen: ['repeated webhook'], differences: [] })
  const late = await repeated([0, 45, 400])
  expect(late.seen).toContain('repeated webhook after more than 300 s, so signed anew')
  expect(late.differences.map(({ said }) => said)).toEqual([
    'webhook: a repeat comes at none of the distances 1, 2, 4, 8, 16, 30, 60 s',
  ])
})
