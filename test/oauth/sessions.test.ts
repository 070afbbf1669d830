import { expect, test } from 'vitest'
import { cookiePrefix } from '../../src/http/own-host.ts'
import { MOST_SESSIONS } from '../../src/oauth/sessions.ts'
import { type Client, createClient, sessionCookie } from '../helpers/client.ts'
import { json, tokens } from '../helpers/upstream.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { connect, expectError, type Pair, participantsUrl, startPair } from './harness.ts'

const WEEK_MS = 7 * 24 * 3_600_000
const session = (client: Pick<Client, 'cookies'>) => sessionCookie(client).value
/** Puts another session into this browser. */
const put = (pair: Pair, client: Client, value: string) => client.cookies.set(nameOf(pair), value)
const nameOf = ({ app }: Pair) => `${cookiePrefix(app.config)}revento_session`

const grant = (pair: Pair, eventId: string) => {
  pair.upstream.onToken = json(200, tokens({ event_id: eventId }))
  return (client = createClient()) => connect(pair, client, `?event_id=${eventId}`)
}

test('each connect gives a new session id, and the one before is dead', async () => {
  const pair = await startPair()
  const { client } = await grant(pair, 'evt_one')()
  const before = session(client)
  await grant(pair, 'evt_two')(client)
  expect(session(client)).toMatch(/^[A-Za-z0-9_-]{43}$/)
  expect(session(client)).not.toBe(before)
  const cookie = `${nameOf(pair)}=${before}`
  for (const path of ['/participants?event_id=evt_one', '/deliveries'])
    expectError(pair, await createClient().get(pair.app.url + path, { cookie }), 401, 'unauthenticated')
})

test('a later connect keeps the connections made before', async () => {
  const pair = await startPair()
  const { client } = await grant(pair, 'evt_one')()
  await grant(pair, 'evt_two')(client)
  await grant(pair, 'evt_two')(client)
  for (const event of ['evt_one', 'evt_two'])
    expect((await client.get(participantsUrl(pair, event))).status).toBe(200)
  const page = await client.get(`${pair.app.url}/`)
  expect(page.text).toContain('evt_one')
  expect(page.text).toContain('evt_two')
})

test('a browser that never got its new session, because the answer was lost, connects again and has one', async () => {
  const pair = await startPair()
  const { client } = await grant(pair, 'evt_one')()
  const before = session(client)
  await grant(pair, 'evt_one')(client)
  put(pair, client, before)
  expect(await ask(pair, client)).toBe(401)
  await grant(pair, 'evt_one')(client)
  expect(await ask(pair, client)).toBe(200)
})

test('whoever knows the id from before gets nothing of what its successor holds', async () => {
  const pair = await startPair()
  const { client } = await grant(pair, 'evt_one')()
  const known = createClient()
  put(pair, known, session(client))
  await grant(pair, 'evt_one')(client)
  await grant(pair, 'evt_two')(known)
  expect(await ask(pair, known)).toBe(401)
})

test('an id that was planted before the consent is not taken over', async () => {
  const pair = await startPair()
  const planted = 'P'.repeat(43)
  const client = createClient()
  put(pair, client, planted)
  await grant(pair, 'evt_one')(client)
  expect(session(client)).not.toBe(planted)
  const reply = await createClient().get(participantsUrl(pair, 'evt_one'), {
    cookie: `${nameOf(pair)}=${planted}`,
  })
  expectError(pair, reply, 401, 'unauthenticated')
})

test('the session cookie is for this host and no script, and lives a week', async () => {
  const pair = await startPair()
  const { reply } = await connect(pair)
  const lines = [reply.headers['set-cookie'] ?? []].flat().filter(line => line.startsWith(nameOf(pair)))
  expect(lines).toHaveLength(1)
  const attributes = (lines[0] ?? '').toLowerCase().split('; ').slice(1)
  expect(new Set(attributes)).toEqual(new Set(['max-age=604800', 'path=/', 'httponly', 'samesite=lax']))
})

const DAY_MS = 24 * 3_600_000
const ask = async (pair: Pair, client: Client) => (await client.get(participantsUrl(pair, 'evt_one'))).status

test('a session ends after a day in which nobody came, on the page too', async () => {
  const pair = await startPair()
  const { client } = await grant(pair, 'evt_one')()
  pair.runtime.advance(DAY_MS - 60_000)
  expect(await ask(pair, client)).toBe(200)
  pair.runtime.advance(DAY_MS - 60_000)
  expect(await ask(pair, client)).toBe(200)
  pair.runtime.advance(DAY_MS)
  expectError(pair, await client.get(participantsUrl(pair, 'evt_one')), 401, 'unauthenticated')
  expect((await client.get(`${pair.app.url}/`)).text).not.toContain('evt_one')
})

test('a session ends after a week, however often it is used', async () => {
  const pair = await startPair()
  const { client } = await grant(pair, 'evt_one')()
  const every = DAY_MS - 3_600_000
  for (let passed = every; passed < WEEK_MS; passed += every) {
    pair.runtime.advance(every)
    expect(await ask(pair, client)).toBe(200)
  }
  pair.runtime.advance(WEEK_MS % every)
  expect(await ask(pair, client)).toBe(401)
})

test('the idle limit is written once in five minutes', async () => {
  const pair = await startPair()
  const { client } = await grant(pair, 'evt_one')()
  const until = async () =>
    (await pair.app.database.query.selectFrom('sessions').select('expires_at').execute())[0]?.expires_at
  const before = await until()
  pair.runtime.advance(4 * 60_000)
  expect(await ask(pair, client)).toBe(200)
  expect(await until()).toBe(before)
  pair.runtime.advance(2 * 60_000)
  expect(await ask(pair, client)).toBe(200)
  expect(await until()).toBeGreaterThan(before ?? 0)
})

test('a connection has a hundred sessions at most: the oldest ends', async () => {
  const pair = await startPair()
  const first = (await grant(pair, 'evt_one')()).client
  pair.runtime.advance(1000)
  const [second, other] = [(await grant(pair, 'evt_one')()).client, (await grant(pair, 'evt_two')()).client]
  const { query } = pair.app.database
  const now = pair.runtime.now()
  const rows = Array.from({ length: MOST_SESSIONS - 2 }, (_, n) => ({ id_hash: `${n}`, created_at: now }))
  await query
    .insertInto('sessions')
    .values(rows.map(row => ({ ...row, expires_at: now + DAY_MS })))
    .execute()
  const held = await query.selectFrom('session_connections').selectAll().execute()
  const { organization_id = '' } = held[0] ?? {}
  const of = { event_id: 'evt_one', organization_id }
  const holds = rows.map(({ id_hash }) => ({ session_hash: id_hash, ...of }))
  await query.insertInto('session_connections').values(holds).execute()
  expect(await ask(pair, first)).toBe(200)
  const last = (await grant(pair, 'evt_one')()).client
  expect(await Promise.all([first, second, last].map(client => ask(pair, client)))).toEqual([401, 200, 200])
  expect((await other.get(participantsUrl(pair, 'evt_two'))).status).toBe(200)
})

test('hundreds of forged cookies: 401 or the signed-out page, never an error of ours', async () => {
  const pair = await startPair()
  await grant(pair, 'evt_one')()
  const random = (bytes: number) => Buffer.from(crypto.getRandomValues(new Uint8Array(bytes)))
  const name = nameOf(pair)
  const forged = Array.from({ length: 400 }, (_, n) => {
    if (n % 4 === 0) return `${name}=${random(32).toString('base64url')}`
    if (n % 4 === 1)
      return `${name}=${random(n % 300)
        .toString('latin1')
        .replace(/[^\x21-\x7e\x80-\xff]/g, '%00')}`
    if (n % 4 === 2)
      return `${name}=${random(20).toString('base64url')}; ${name}="${random(32).toString('hex')}"`
    return `${name}=%${random(9).toString('hex')};=;;${name}`
  })
  const paths = ['/', '/participants?event_id=evt_one', '/deliveries', '/deliveries/1', '/deliveries/stream']
  const seen = new Set<string>()
  for (let n = 0; n < forged.length; n += 50)
    await Promise.all(
      forged.slice(n, n + 50).map(async (cookie, i) => {
        const path = paths[(n + i) % paths.length] ?? '/'
        const { status, text } = await createClient().get(pair.app.url + path, { cookie })
        seen.add(`${path === '/'} ${status}`)
        expect(text).not.toContain('evt_one')
      }),
    )
  expect(seen).toEqual(new Set(['true 200', 'false 401']))
})

test('the store holds no session id in clear', async () => {
  const pair = await startPair()
  const { client } = await connect(pair)
  const rows = await pair.app.database.query.selectFrom('sessions').selectAll().execute()
  expect(rows).toHaveLength(1)
  expect(JSON.stringify(rows)).not.toContain(session(client))
})

test('without a session /deliveries is 401', async () => {
  const pair = await startPair()
  expectError(pair, await createClient().get(`${pair.app.url}/deliveries`), 401, 'unauthenticated')
})

test('/deliveries has only those of the session\u2019s events, without their bodies', async () => {
  const pair = await startPair()
  const { client: one } = await grant(pair, 'evt_one')()
  const { client: two } = await grant(pair, 'evt_two')()
  const ids = { evt_one: crypto.randomUUID(), evt_two: crypto.randomUUID(), evt_three: crypto.randomUUID() }
  for (const [event_id, id] of Object.entries(ids)) {
    const { body, headers } = signedDelivery({ id, event: { event_id, data: { secret: 'payload-canary' } } })
    expect((await one.post(`${pair.app.url}/webhooks/revento`, body, headers)).status).toBe(200)
  }
  for (const [client, eventId] of [
    [one, 'evt_one'],
    [two, 'evt_two'],
  ] as const) {
    const reply = await client.get(`${pair.app.url}/deliveries`)
    expect(reply.headers['cache-control']).toBe('no-store')
    const { data } = reply.json<{ data: Record<string, unknown>[] }>()
    expect(data.map(d => [d['event_id'], d['delivery_id']])).toEqual([[eventId, ids[eventId]]])
    expect(reply.text).not.toContain('payload-canary')
    expect(Object.keys(data[0] ?? {})).toEqual(
      expect.arrayContaining(['id', 'provider', 'type', 'state', 'attempts', 'received_at', 'duplicate_of']),
    )
  }
})
