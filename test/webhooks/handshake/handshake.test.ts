import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import type { SenderContext } from '../../../src/builder/context.ts'
import { createSteadyClock } from '../../../src/process/trusted-time.ts'
import { createHandshakeCallers } from '../../../src/webhooks/handshake/callers.ts'
import { startApp } from '../../helpers/app.ts'
import { createClient } from '../../helpers/client.ts'
import { manualClock } from '../../helpers/clock.ts'
import { testDatabase } from '../../helpers/database.ts'
import { testRuntime } from '../../helpers/runtime.ts'
import { SENDERS_ENV, VERIFY_TOKEN } from '../../helpers/senders.ts'
import { until } from '../../helpers/wait.ts'

const PREVIOUS = 'verify-token-of-before'
const HOUR_MS = 3_600_000

async function start(env: Record<string, string> = {}) {
  const runtime = testRuntime()
  const monotonic = { ahead: 0 }
  const clock = { ...runtime, monotonic: () => runtime.monotonic() + monotonic.ahead }
  const ran: SenderContext[] = []
  const message = async (context: SenderContext) => void ran.push(context)
  const app = await startApp({
    env: { ...SENDERS_ENV, WEBHOOK_VERIFY_TOKEN_PREVIOUS: PREVIOUS, WEBHOOK_BODY_LIMIT: '2048', ...env },
    runtime: clock,
    handlers: { revento: {}, handshake: { message } },
  })
  onTestFinished(() => app.close())
  const client = createClient()
  const url = `${app.url.replace('localhost', '127.0.0.1')}/webhooks/handshake`
  return {
    ...app,
    ran,
    advance: runtime.advance,
    minute: () => {
      monotonic.ahead += 60_000
    },
    show: (query: string, headers = {}) => client.get(`${url}${query}`, headers),
    post: (body = '{"a":1}', headers = {}) =>
      client.post(url, body, { 'content-type': 'application/json', ...headers }),
    rows: () => app.database.query.selectFrom('inbox').selectAll().execute(),
    callers: () => app.database.query.selectFrom('handshake_callers').selectAll().execute(),
  }
}
const right = `?verify_token=${VERIFY_TOKEN}`
const summary = ({ status, text }: { status: number; text: string }) => `${status} ${text}`

test("who shows the token may post; the answers are the document's", async () => {
  const app = await start()
  expect(summary(await app.post())).toBe('401 {"status":"not authorised"}')
  expect(summary(await app.show('?verify_token=wrong'))).toBe('401 {"status":"bad token"}')
  expect(await app.callers()).toEqual([])
  expect(summary(await app.show(right))).toBe('200 {"status":"success"}')
  expect(summary(await app.post('{"data": "This is some test data"}'))).toBe('200 {"status":"success"}')
  await until(() => app.ran.length === 1)
  expect(app.ran[0]?.event).toEqual({ data: 'This is some test data' })
  expect((await app.rows()).map(row => [row.provider, row.type])).toEqual([['handshake', 'message']])
})

test('the previous token is taken too; each post is a delivery of its own', async () => {
  const app = await start()
  expect((await app.show(`?verify_token=${PREVIOUS}`)).status).toBe(200)
  for (let i = 0; i < 2; i++) expect((await app.post()).status).toBe(200)
  await until(() => app.ran.length === 2)
})

test.each([
  ['no token', ''],
  ['an empty one', '?verify_token='],
  ['half of it', `?verify_token=${VERIFY_TOKEN.slice(0, -1)}`],
  ['more than it', `?verify_token=${VERIFY_TOKEN}x`],
  ['another case', `?verify_token=${VERIFY_TOKEN.toUpperCase()}`],
  ['two of them', `?verify_token=${VERIFY_TOKEN}&verify_token=${VERIFY_TOKEN}`],
  ['another name', `?token=${VERIFY_TOKEN}`],
  ['a list', `?verify_token[]=${VERIFY_TOKEN}`],
  ['bytes that are not UTF-8', '?verify_token=%ff'],
])('the handshake refuses %s', async (_, query) => {
  const app = await start()
  expect(summary(await app.show(query))).toBe('401 {"status":"bad token"}')
  expect(await app.callers()).toEqual([])
})

test('a registration lasts 24 hours, and is removed when it has run out', async () => {
  const app = await start()
  await app.show(right)
  app.advance(24 * HOUR_MS - 5_000)
  expect((await app.post()).status).toBe(200)
  app.advance(5_001)
  expect(summary(await app.post())).toBe('401 {"status":"authorisation timeout"}')
  expect(await app.callers()).toEqual([])
  expect(summary(await app.post())).toBe('401 {"status":"not authorised"}')
  expect((await app.show(right)).status).toBe(200)
  expect((await app.post()).status).toBe(200)
})

test('registrations are rows, so a restart keeps them: the thousand newest', async () => {
  const clock = manualClock()
  const { query } = await testDatabase()
  const callers = createHandshakeCallers(query, createSteadyClock(clock))
  const address = (i: number) => `10.0.${i >> 8}.${i & 255}`
  // The first thousand in one statement; the three that are too many as they come.
  const thousand = Array.from({ length: 1_000 }, (_, i) => ({
    address: address(i),
    registered_at: clock.now() + i,
  }))
  await query.insertInto('handshake_callers').values(thousand).execute()
  clock.advance(1_000)
  for (const i of [1_000, 1_001, 1_002]) {
    clock.advance(1)
    await callers.register(address(i))
  }
  expect(await query.selectFrom('handshake_callers').select('address').execute()).toHaveLength(1_000)
  const again = createHandshakeCallers(query, createSteadyClock(clock))
  expect([await again.check('10.0.0.2'), await again.check('10.0.0.3')]).toEqual(['unknown', 'registered'])
})

test('ten wrong tokens a minute for an address; then 429, also with the right token, until the minute is over', async () => {
  const app = await start()
  for (let i = 0; i < 10; i++) expect((await app.show('?verify_token=guess')).status).toBe(401)
  const limited = await app.show(right)
  expect([limited.status, limited.json()['error'], limited.headers['retry-after']]).toEqual([
    429,
    'too_many_requests',
    '60',
  ])
  expect((await app.post()).status).toBe(401)
  expect(await app.callers()).toEqual([])
  app.minute()
  expect((await app.show(right)).status).toBe(200)
  for (let i = 0; i < 12; i++) expect((await app.post()).status).toBe(200)
})

test('a busy sender whose registration has run out can show its token at once', async () => {
  const app = await start()
  await app.show(right)
  app.advance(24 * HOUR_MS + 1000)
  for (let i = 0; i < 20; i++) expect((await app.post()).status).toBe(401)
  expect((await app.show(right)).status).toBe(200)
  expect((await app.post()).status).toBe(200)
})

test('wrong tokens from beside a registered sender do not shut it out', async () => {
  const app = await start()
  await app.show(right)
  for (let i = 0; i < 11; i++) await app.show('?verify_token=guess')
  expect((await app.post()).status).toBe(200)
})

test('X-Forwarded-For counts only where the peer is a configured proxy', async () => {
  const open = await start()
  await open.show(right, { 'x-forwarded-for': '203.0.113.9' })
  expect((await open.callers()).map(row => row.address)).toEqual(['127.0.0.1'])

  const proxied = await start({ TRUST_PROXY: '127.0.0.1' })
  await proxied.show(right, { 'x-forwarded-for': '198.51.100.1, 203.0.113.9' })
  expect((await proxied.callers()).map(row => row.address)).toEqual(['203.0.113.9'])
  expect((await proxied.post('{}', { 'x-forwarded-for': '203.0.113.9' })).status).toBe(200)
  expect((await proxied.post('{}', { 'x-forwarded-for': '203.0.113.9, 203.0.113.10' })).status).toBe(401)
  expect((await proxied.post('{}', { 'x-forwarded-for': '203.0.113.9:51234' })).status).toBe(200)
  expect((await proxied.post('{}', { 'x-forwarded-for': '[::ffff:203.0.113.9]:443' })).status).toBe(200)
  expect((await proxied.post('{}', { 'x-forwarded-for': '203.0.113.9, nonsense' })).status).toBe(401)
  expect((await proxied.post()).status).toBe(401)
})

test('the token is not in the log; nor is a post stored that is no JSON, too large, or of another type', async () => {
  const app = await start()
  await app.show(right)
  await app.show('?verify_token=a-guess-of-mine')
  expect((await app.post('text')).json()['error']).toBe('invalid_json')
  expect((await app.post('{}', { 'content-type': 'text/plain' })).status).toBe(415)
  expect((await app.post('x'.repeat(2_049))).status).toBe(413)
  expect(await app.rows()).toEqual([])
  for (const token of [VERIFY_TOKEN, 'a-guess-of-mine']) expect(JSON.stringify(app.log)).not.toContain(token)
})

test('without a token there is no handshake, and a GET with effects answers no HEAD', async () => {
  const bare = await startApp()
  onTestFinished(() => bare.close())
  for (const method of ['GET', 'POST'])
    expect((await fetch(`${bare.url}/webhooks/handshake${right}`, { method })).status).toBe(404)
  const app = await start()
  expect([404, 405]).toContain(
    (await fetch(`${app.url}/webhooks/handshake${right}`, { method: 'HEAD' })).status,
  )
  expect(await app.callers()).toEqual([])
})

test('a socket that closes at once registers nobody else', async () => {
  const app = await start()
  const socket = connect(app.config.port, '127.0.0.1')
  socket.end(`GET /webhooks/handshake${right} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 203.0.113.9\r\n\r\n`)
  await until(async () => (await app.callers()).length === 1)
  expect((await app.callers())[0]?.address).toBe('127.0.0.1')
})
