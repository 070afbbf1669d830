import type { Selectable } from 'kysely'
import { afterAll, expect, onTestFinished } from 'vitest'
import type { ConnectionsTable } from '../../src/storage/schema.ts'
import { startApp, type TestApp, type TestAppOptions } from '../helpers/app.ts'
import { type Client, createClient, type Reply, stateOf } from '../helpers/client.ts'
import { type TestRuntime, testRuntime } from '../helpers/runtime.ts'
import { type Answer, emptyPage, json, startUpstream, type Upstream } from '../helpers/upstream.ts'

export const EVENT = 'evt_test_published'
export const BROWSER = { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' }
/** This text stands in every upstream answer that fails, and must come out nowhere. */
export const UPSTREAM_TEXT = 'upstream-words-that-stay-upstream'
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

export interface Pair {
  app: TestApp
  upstream: Upstream
  runtime: TestRuntime
}

export interface PairOptions extends TestAppOptions {
  runtime?: TestRuntime
}

/** The app against an upstream of its own; both end with the test. */
export async function startPair(o: PairOptions = {}): Promise<Pair> {
  const pair = await openPair(o)
  onTestFinished(pair.close)
  return pair
}

/**
 * One for all tests of a file, or of a `describe`, that leave the app as it was: a start takes as long as ten of their
 * requests. Each begins a minute later, with no connection and no flow, an empty log, and an upstream that was asked
 * nothing.
 */
export function sharedPair(): () => Promise<Pair> {
  let opened: ReturnType<typeof openPair> | undefined
  afterAll(async () => (await opened)?.close())
  return async () => {
    opened ??= openPair()
    const pair = await opened
    for (const table of ['flows', 'sessions', 'connections'] as const)
      await pair.app.database.query.deleteFrom(table).execute()
    pair.app.log.length = 0
    pair.upstream.reset()
    // An address may begin only so many flows in a minute, so a minute passes.
    pair.runtime.advance(60_000)
    return pair
  }
}

async function openPair(o: PairOptions = {}): Promise<Pair & { close(): Promise<void> }> {
  const { runtime = testRuntime() } = o
  const upstream = await startUpstream()
  const app = await startApp({ authBase: upstream.authBase, apiBase: upstream.apiBase, ...o, runtime })
  const close = async () => {
    await app.close()
    await upstream.close()
  }
  return { app, upstream, runtime, close }
}

export interface Begun {
  client: Client
  reply: Reply
  state: string
}

/** GET /connect: a browser that stands before the consent screen. */
export async function begin({ app }: Pair, client = createClient(), query = ''): Promise<Begun> {
  const reply = await client.get(`${app.url}/connect${query}`)
  expect(reply.status).toBe(302)
  return { client, reply, state: stateOf(reply) }
}

/** The browser comes back with the parameters given. */
export const comeBack = (
  { app }: Pair,
  client: Client,
  parameters: Record<string, string> | string,
  headers: Record<string, string> = {},
) => client.get(`${app.url}/callback?${new URLSearchParams(parameters)}`, headers)

/** Connects an event; returns the browser, which has a session then, and the answer of /callback. */
export async function connect(pair: Pair, client = createClient(), query = '') {
  const { state } = await begin(pair, client, query)
  const reply = await comeBack(pair, client, { code: 'good-code', state })
  expect(reply.status).toBe(200)
  return { client, reply, state }
}

export const storedConnections = ({ app }: Pair): Promise<Selectable<ConnectionsTable>[]> =>
  app.database.query.selectFrom('connections').selectAll().orderBy('event_id').execute()

/** Expects the one shape of every error, and nothing of the upstream in it or in the log. */
export function expectError(pair: Pair, reply: Reply, status: number, code: string): void {
  expect({ status: reply.status, body: reply.text }).toMatchObject({
    status,
    body: expect.stringContaining(`"error":"${code}"`),
  })
  expect(reply.json()).toEqual({
    error: code,
    message: expect.any(String),
    request_id: expect.stringMatching(UUID),
  })
  expect(reply.headers['content-type']).toMatch(/^application\/json/)
  expect(reply.headers['cache-control']).toBe('no-store')
  expect(reply.text).not.toContain(UPSTREAM_TEXT)
  expect(JSON.stringify(pair.app.log)).not.toContain(UPSTREAM_TEXT)
}

/** Expects the page of an error, and nothing of the upstream or of the request in it. */
export function expectErrorPage(reply: Reply, status: number, code: string): void {
  expect(reply.status).toBe(status)
  expect(reply.headers['content-type']).toBe('text/html; charset=utf-8')
  expect(reply.headers['cache-control']).toBe('no-store')
  expect(reply.headers['referrer-policy']).toBe('no-referrer')
  expect(reply.text).toContain(`${status} ${code} · request `)
  expect(reply.text).not.toContain(UPSTREAM_TEXT)
  expect(reply.text).not.toContain('good-code')
}

/** Returns an API for which every access token but this one has expired. */
export const knows =
  (accessToken: string): Answer =>
  (request, response) => {
    const live = request.headers.authorization === `Bearer ${accessToken}`
    const answer = live ? json(200, emptyPage) : json(401, { error: 'token_expired', message: UPSTREAM_TEXT })
    answer(request, response)
  }

export const participantsUrl = ({ app }: Pair, eventId = EVENT) =>
  `${app.url}/participants?event_id=${eventId}`
