import { expect } from 'vitest'
import { ERRORS } from '../../src/http/errors.ts'
import { pageHeaders } from '../../src/http/html.ts'
import { ID } from '../../src/revento/platform.ts'
import { startApp, type TestApp } from '../helpers/app.ts'
import type { Client } from '../helpers/client.ts'
import { testRuntime } from '../helpers/runtime.ts'
import { SENDERS_ENV } from '../helpers/senders.ts'
import { startUpstream, type Upstream } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts' // part: page
import { connect, UUID } from '../oauth/harness.ts'
import { exchange, type RawAnswer } from './raw.ts'

/** This text stands in every hostile input, and must come out nowhere. */
export const MARKER = 'Zq7hostile'

export interface Surface {
  readonly app: TestApp
  readonly upstream: Upstream
  readonly port: number
  /** A browser with a session. */
  readonly client: Client
  readonly formToken: string
  rows(): Promise<number>
  /** By the app's clock. */
  now(): number
  /** Lets so many ms pass. */
  pass(ms: number): void
  close(): Promise<void>
}

/** The app with every route there is, on real sockets, and a browser that has connected an event. */
export async function startSurface(env: Record<string, string> = {}): Promise<Surface> {
  const runtime = testRuntime()
  const upstream = await startUpstream()
  const { authBase, apiBase } = upstream
  const handlers = { revento: {}, aghanim: { 'player.verify': async () => undefined } }
  const login = { REVENTO_USER_SCOPES: 'profile.read event.attendance' }
  const app = await startApp({
    env: { ...SENDERS_ENV, ...login, ...env },
    authBase,
    apiBase,
    runtime,
    handlers,
  })
  const { client } = await connect({ app, upstream, runtime })
  const page = await client.get(`${app.url}/`, { accept: 'text/html' })
  const [, formToken = ''] = /name="form_token" value="([^"]+)"/.exec(page.text) ?? []
  expect(formToken).not.toBe('')
  // The page asks for the event's title, and waits for nothing.
  await until(() => upstream.apiRequests().some(({ path }) => path.endsWith('/evt_test_published'))) // part: page
  return {
    app,
    upstream,
    port: app.config.port,
    client,
    formToken,
    rows: async () => (await app.database.query.selectFrom('inbox').select('id').execute()).length,
    now: runtime.now,
    pass: runtime.pass,
    async close() {
      await app.close()
      await upstream.close()
    },
  }
}

export const cookieOf = ({ client }: Surface) =>
  [...client.cookies].map(([name, value]) => `${name}=${value}`).join('; ')

/** Each route as the app itself lists it, so that a new one is attacked too. */
export function routesOf({ app }: Pick<Surface, 'app'>): { path: string; methods: string[] }[] {
  const parents: string[] = []
  const routes = app.app
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap(line => {
      const [, indent = '', part = '', methods] = /^(.*)[├└]── (\S+)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? []
      const depth = indent.length / 4
      parents.splice(depth, parents.length, (parents[depth - 1] ?? '') + part)
      return methods ? [{ path: parents[depth] ?? '', methods: methods.split(', ') }] : []
    })
  expect(routes.map(({ path }) => path)).toContain('/deliveries/:id/replay')
  return routes
}

/** Returns the bytes of a request that ends its connection; `lines` are its headers as they stand on the wire. */
export const request = (start: string, lines: readonly string[] = [], body = '') =>
  `${[start, 'Host: app.test', 'Connection: close', ...lines].join('\r\n')}\r\n\r\n${body}`

/** The headers that an answer may have; one that an input smuggled in is none of them. */
const HEADERS = new Set([
  ...Object.keys(pageHeaders(true)),
  'allow',
  'connection',
  'content-length',
  'content-type',
  'date',
  'keep-alive',
  'location',
  'refresh',
  'retry-after',
  'set-cookie',
  'transfer-encoding',
  'x-accel-buffering',
  'x-content-type-options',
])

/** Expects what holds for every answer, whatever was sent. */
export function judge(answer: RawAnswer, surface: Surface, what: string): void {
  const { status, headers, text } = answer
  expect(status, what).toBeGreaterThanOrEqual(200)
  // Each session has so many streams, and a socket that is gone is not seen at once.
  const isStated = codeOf(answer) === '503 too_many_streams'
  if (!isStated) expect(status, what).toBeLessThan(500)
  const odd = Object.entries(headers).filter(
    ([name, values]) => !HEADERS.has(name) || (name !== 'set-cookie' && values.length !== 1),
  )
  expect(odd, what).toEqual([])
  expect(headers['x-content-type-options'], what).toEqual(['nosniff'])
  const location = headers['location']?.[0]
  if (location !== undefined) expect(isOwn(location, surface), `${what}: ${location}`).toBe(true)
  else expect(JSON.stringify(headers) + text, what).not.toContain(MARKER)
  if (status >= 400) judgeError(answer, what)
}

const isOwn = (location: string, { app, upstream }: Surface) =>
  /^\/(?![/\\])/.test(location) ||
  [app.config.origin, upstream.authBase].some(origin => location.startsWith(`${origin}/`))

const pages: Record<string, string> = pageHeaders(false)

/** Expects exactly the fixed shape: JSON, a page for a browser, and nothing for HEAD. */
function judgeError({ status, headers, text }: RawAnswer, what: string): void {
  expect(headers['cache-control'], what).toEqual(['no-store'])
  if (text === '') return
  const type = headers['content-type']?.[0] ?? ''
  if (type.startsWith('text/html')) {
    const missing = Object.entries(pages).filter(([name, value]) => headers[name]?.join() !== value)
    expect(missing, what).toEqual([])
    expect(text, what).toMatch(new RegExp(`${status} [a-z_]+ · request `))
    return
  }
  expect(type, what).toBe('application/json; charset=utf-8')
  const body = JSON.parse(text) as Record<string, unknown>
  // The document of the handshake states these.
  if (status === 401 && 'status' in body) {
    expect(['bad token', 'not authorised'], what).toContain(body['status'])
    return
  }
  const code = body['error'] as keyof typeof ERRORS
  expect(Object.keys(ERRORS), what).toContain(code)
  expect(body, what).toEqual({
    error: code,
    message: ERRORS[code][1],
    request_id: expect.stringMatching(UUID),
  })
}

/** Expects what holds for the process after any number of inputs. */
export async function judgeAfter(surface: Surface, rowsBefore: number): Promise<void> {
  const { app, port } = surface
  const [health] = (await exchange(port, request('GET /health HTTP/1.1'))).answers
  expect(health).toMatchObject({ status: 200, text: '{"status":"ok"}' })
  expect(await surface.rows()).toBe(rowsBefore)
  // An ending that does not say whose or when it is has a stated effect, and a line for the operator.
  const isStated = (line: Record<string, unknown>) =>
    line['part'] === 'erasure' || (line['path'] === '/deliveries/stream' && line['status'] === 503)
  expect(app.log.filter(line => line['level'] === 'error' && !isStated(line))).toEqual([])
  // The path is logged as it was asked for, as JSON, and cut, and an event id that has its form; nothing else is.
  const said = app.log.map(({ path: _path, event_id, ...line }) =>
    JSON.stringify(ID.test(String(event_id)) ? line : { ...line, event_id }),
  )
  expect(said.filter(line => line.includes(MARKER))).toEqual([])
  expect(Object.keys(Object.prototype)).toEqual([])
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
}

/** Returns `status code`, or the status alone where the answer is no error or is the handshake's. */
export function codeOf({ status, text }: RawAnswer): string {
  const [, code] = /^\{"error":"([a-z_]+)"/.exec(text) ?? / ([a-z_]+) · request /.exec(text) ?? []
  return code === undefined ? String(status) : `${status} ${code}`
}
