import { expect, test } from 'vitest'
import { startApp } from '../helpers/app.ts'
import { type Client, createClient } from '../helpers/client.ts'
import { pathOf } from '../helpers/database.ts'
import { openStream } from '../helpers/stream.ts'
import { json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { BROWSER, connect, EVENT, expectError, type Pair, startPair } from '../oauth/harness.ts'

/** Opens the stream as the page's script does, which is not sent what the page shows already. */
async function streamUrl(pair: Pair, client: Client): Promise<string> {
  const { text } = await client.get(`${pair.app.url}/`, BROWSER)
  const [, path = ''] = /data-stream="([^"]+)"/.exec(text) ?? []
  return pair.app.url + path.replaceAll('&amp;', '&')
}

async function listening() {
  const pair = await startPair()
  const { client } = await connect(pair)
  const url = await streamUrl(pair, client)
  return { pair, client, url }
}

async function deliver({ app }: Pair, event: Record<string, unknown> = {}): Promise<void> {
  const { body, headers } = signedDelivery({ event })
  expect((await createClient().post(`${app.url}/webhooks/revento`, body, headers)).status).toBe(200)
}

const names = (data: string) => Object.keys(JSON.parse(data))

test('without a session the stream is 401', async () => {
  const pair = await startPair()
  expectError(pair, await createClient().get(`${pair.app.url}/deliveries/stream`), 401, 'unauthenticated')
})

test('a delivery appears, and only the part that it changes is sent', async () => {
  const { pair, client, url } = await listening()
  const stream = await openStream(client, url)
  expect(stream.headers).toMatchObject({
    'content-type': 'text/event-stream',
    'cache-control': 'no-store',
    'x-accel-buffering': 'no',
  })
  await until(() => stream.text().includes('retry: '))
  await deliver(pair)
  const { data } = await stream.event('parts', part => part.includes('>handled<'))
  expect(names(data)).toContain('deliveries')
  expect(names(data)).not.toContain('connections')
})

test('a change of the connection appears', async () => {
  const { pair, client, url } = await listening()
  const stream = await openStream(client, url)
  await pair.app.database.query
    .updateTable('connections')
    .set({ state: 'reconsent', reason: 'invalid_grant' })
    .execute()
  const { data } = await stream.event('parts')
  expect(names(data)).toEqual(['heading', 'health', 'participants', 'connections'])
  expect(data).toContain('Revento no longer accepts')
})

test('a browser that comes back gets what it has missed, and nothing that it has', async () => {
  const { pair, client, url } = await listening()
  const first = await openStream(client, url)
  await deliver(pair)
  const { id } = await first.event('parts', part => part.includes('>handled<'))
  first.close()
  await pair.app.database.query.updateTable('connections').set({ state: 'suspended' }).execute()
  const second = await openStream(client, url, { 'last-event-id': id })
  const changed = names((await second.event('parts')).data)
  expect(changed).toEqual(expect.arrayContaining(['heading', 'connections']))
  expect(changed).not.toContain('deliveries')
})

test('a mark that is made up only costs its sender the whole of it', async () => {
  const { pair, client } = await listening()
  for (const have of ['', '.'.repeat(2000), '%00', '<script>']) {
    const url = `${pair.app.url}/deliveries/stream?view=q%3D%3Cb%3E&have=${encodeURIComponent(have)}`
    const stream = await openStream(client, url)
    const { data } = await stream.event('parts')
    expect(names(data)).toEqual(['heading', 'health', 'stuck', 'participants', 'deliveries', 'connections'])
    expect(data).not.toContain('<b>')
    stream.close()
  }
})

test('what another process takes in appears too', async () => {
  const { pair, client, url } = await listening()
  const { pathname, search } = new URL(url)
  const { store, redirectUri } = pair.app.config
  const env = { DATABASE_URL: `sqlite:${pathOf(store)}`, REVENTO_REDIRECT_URI: redirectUri }
  const other = await startApp({ env })
  const stream = await openStream(client, other.url + pathname + search)
  await deliver(pair)
  await stream.event('parts', part => part.includes('>handled<'))
  stream.close()
  await other.close()
})

test('another session hears nothing of a delivery', async () => {
  const { pair, client, url } = await listening()
  pair.upstream.onToken = json(200, tokens({ event_id: 'evt_two' }))
  const { client: two } = await connect(pair, createClient(), '?event_id=evt_two')
  const mine = await openStream(client, url)
  const theirs = await openStream(two, await streamUrl(pair, two))
  await deliver(pair)
  await mine.event('parts', part => part.includes('>handled<'))
  await deliver(pair, { event_id: 'evt_two' })
  await theirs.event('parts', part => part.includes('>handled<'))
  expect(theirs.text()).not.toContain(EVENT)
  expect(mine.text()).not.toContain('evt_two')
})

test('four pages of a session are live; the fifth is told to come later, until one is closed', async () => {
  const { client, url } = await listening()
  const open = await Promise.all(Array.from({ length: 4 }, () => openStream(client, url)))
  const fifth = await client.get(url)
  expect([fifth.status, fifth.json()['error'], fifth.headers['retry-after']]).toEqual([
    503,
    'too_many_streams',
    '10',
  ])
  open[0]?.close()
  const again = await until(async () => {
    const stream = await openStream(client, url)
    return stream.status === 200 && stream
  })
  await until(() => again.text() !== '')
})

test('a log-out ends the streams of that session, and of no other', async () => {
  const { pair, client, url } = await listening()
  const { client: other } = await connect(pair)
  const mine = await openStream(client, url)
  const theirs = await openStream(other, await streamUrl(pair, other))
  await pair.app.database.query
    .deleteFrom('sessions')
    .where('created_at', '=', eb => eb.selectFrom('sessions').select(e => e.fn.min('created_at').as('first')))
    .execute()
  await mine.event('end')
  await until(() => mine.ended())
  await deliver(pair)
  await theirs.event('parts')
  expect(theirs.events('end')).toEqual([])
})

test('a session ends under an open page: a page that is left open does not keep it alive', async () => {
  const { pair, client, url } = await listening()
  const stream = await openStream(client, url)
  pair.runtime.advance(24 * 3_600_000)
  await stream.event('end')
})

test('closing does not wait for streams', async () => {
  const { pair, client, url } = await listening()
  const streams = await Promise.all([openStream(client, url), openStream(client, url)])
  const startedAt = Date.now()
  await pair.app.app.close()
  expect(Date.now() - startedAt).toBeLessThan(1_000)
  await until(() => streams.every(stream => stream.ended()))
})

test('a store that cannot be written is told of on the page', async () => {
  const { pair, client } = await listening()
  pair.app.database.probe = () => Promise.reject(new Error('no'))
  const text = await until(async () => {
    const page = (await client.get(`${pair.app.url}/`, BROWSER)).text
    return page.includes('cannot store anything') && page
  })
  expect(text).toContain('storage_failed')
})
