import { expect, test } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import { readDatabase } from '../../src/storage/open.ts'
import { createClient } from '../helpers/client.ts'
import { emptyPage, json, tokens } from '../helpers/upstream.ts'
import {
  BROWSER,
  begin,
  comeBack,
  connect,
  EVENT,
  participantsUrl,
  startPair,
  storedConnections,
  UPSTREAM_TEXT,
  UUID,
} from './harness.ts'

test('/callback answers a script with the event and the first participants', async () => {
  const pair = await startPair()
  const page = {
    data: [{ id: 'ptp_1', unknown: { deep: true } }],
    next_cursor: 'c1',
    has_more: true,
    total: 3,
  }
  pair.upstream.onApi = json(200, page)
  const { reply } = await connect(pair)
  expect(reply.headers['content-type']).toMatch(/^application\/json/)
  expect(reply.headers['cache-control']).toBe('no-store')
  expect(reply.json()).toEqual({ message: 'Connected!', event_id: EVENT, participants: page })
})

test('/callback sends a browser to the page by 303, so that the code leaves the address bar', async () => {
  const pair = await startPair()
  const { client, state } = await begin(pair)
  const reply = await comeBack(pair, client, { code: 'good-code', state }, BROWSER)
  expect(reply.status).toBe(303)
  expect(reply.headers['location']).toBe('/')
  expect(reply.headers['cache-control']).toBe('no-store')
  expect((await client.get(`${pair.app.url}/`, BROWSER)).text).toContain(EVENT)
})

test.for<[string, number]>([
  ['application/json', 200],
  ['*/*', 200],
  ['text/html;q=0.5, application/json', 200],
  ['text/html;q=nonsense', 200],
  ['text/html;q=9, application/json', 200],
  ['text/html', 303],
  ['TEXT/HTML, */*;q=0.8', 303],
])('Accept %s is answered with %i', async ([accept, status]) => {
  const pair = await startPair()
  const { client, state } = await begin(pair)
  expect((await comeBack(pair, client, { code: 'c', state }, { accept })).status).toBe(status)
})

test('the first call is the documented one', async () => {
  const pair = await startPair()
  pair.upstream.onToken = json(200, tokens({ access_token: 'rev_install_first' }))
  await connect(pair)
  const calls = pair.upstream.apiRequests()
  expect(calls).toHaveLength(1)
  expect(calls[0]?.method).toBe('GET')
  expect(calls[0]?.path).toBe(`/api/v1/events/${EVENT}/participants`)
  expect(Object.fromEntries(calls[0]?.query ?? [])).toEqual({ limit: '10' })
  expect(calls[0]?.headers).toMatchObject({
    authorization: 'Bearer rev_install_first',
    accept: 'application/vnd.revento.v1+json',
    'x-revento-request-id': expect.stringMatching(UUID),
  })
})

test('the request id is a fresh one for each call, and stands in the log', async () => {
  const pair = await startPair()
  const { client } = await connect(pair)
  await client.get(participantsUrl(pair))
  const ids = pair.upstream.apiRequests().map(r => r.headers['x-revento-request-id'])
  expect(new Set(ids).size).toBe(2)
  const logged = pair.app.log.map(line => line['revento_request_id']).filter(Boolean)
  expect(logged).toEqual(ids)
})

test('the tokens are committed before the first call: another connection sees them', async () => {
  const pair = await startPair()
  let seen: unknown
  const look = async () => {
    const query = await readDatabase(pair.app.config.store, systemRuntime)
    const rows = await query?.selectFrom('connections').select(['state', 'access_token']).execute()
    seen = rows?.map(row => [row.state, (row.access_token?.length ?? 0) > 28])
    await query?.destroy()
  }
  pair.upstream.onApi = (request, response) => void look().then(() => json(200, emptyPage)(request, response))
  await connect(pair)
  expect(seen).toEqual([['connected', true]])
})

test.for<[string, number, unknown, string]>([
  ['a 500', 500, { error: 'internal', message: UPSTREAM_TEXT }, 'internal'],
  ['HTML', 200, UPSTREAM_TEXT, 'upstream_error'],
  ['no page', 200, { data: UPSTREAM_TEXT, has_more: false }, 'upstream_error'],
])('the first call answered with %s does not undo the connection', async ([, status, body, code]) => {
  const pair = await startPair()
  pair.upstream.onApi = json(status, body)
  const { client, reply } = await connect(pair)
  expect(reply.json()).toEqual({
    message: 'Connected!',
    event_id: EVENT,
    participants: null,
    participants_error: code,
  })
  expect(JSON.stringify(pair.app.log)).not.toContain(UPSTREAM_TEXT)
  pair.upstream.onApi = json(200, emptyPage)
  expect((await client.get(participantsUrl(pair))).status).toBe(200)
})

test('a second consent for the same event replaces the first, with its newest tokens', async () => {
  const pair = await startPair()
  await connect(pair)
  pair.upstream.onToken = json(200, tokens({ access_token: 'rev_install_second' }))
  const { client } = await connect(pair, createClient())
  expect(await storedConnections(pair)).toHaveLength(1)
  await client.get(participantsUrl(pair))
  expect(pair.upstream.apiRequests().at(-1)?.headers.authorization).toBe('Bearer rev_install_second')
})

test('the same event of two organizations is two connections', async () => {
  const pair = await startPair()
  await connect(pair)
  pair.upstream.onToken = json(200, tokens({ organization_id: 'org_second' }))
  await connect(pair)
  expect(await storedConnections(pair)).toHaveLength(2)
})
