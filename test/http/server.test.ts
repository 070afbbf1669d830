import { connect as connectSocket } from 'node:net'
import { request } from 'undici'
import { describe, expect, test } from 'vitest'
import { createClient } from '../helpers/client.ts'
import { BROWSER, type Pair, sharedPair, startPair, UUID } from '../oauth/harness.ts'

const ROUTES = {
  GET: ['/', '/connect', '/callback', '/participants', '/deliveries', '/health', '/ready', '/style.css'],
  POST: ['/webhooks/revento'],
}
const CANARY = 'canary-in-the-request'
const shared = sharedPair()

/** Writes these bytes to the app's port, then `drip` again and again, and returns all that the app sends until it ends. */
function rawExchange({ app }: Pair, bytes: string, drip = ''): Promise<string> {
  return new Promise((resolve, reject) => {
    let dripping: NodeJS.Timeout | undefined
    const socket = connectSocket(app.config.port, '127.0.0.1', () => {
      socket.write(bytes, 'latin1')
      dripping = setInterval(() => socket.write(drip), 50)
    })
    let answer = ''
    socket.setEncoding('utf8').on('data', chunk => (answer += chunk))
    socket.on('end', () => clearInterval(dripping))
    socket.on('close', () => resolve(answer)).on('error', reject)
  })
}

function expectShape(
  status: number,
  code: string,
  answer: { status: number; headers: object; text: string },
) {
  expect({ status: answer.status, text: answer.text }).toEqual({
    status,
    text: expect.stringContaining(`"${code}"`),
  })
  expect(JSON.parse(answer.text)).toEqual({
    error: code,
    message: expect.any(String),
    request_id: expect.stringMatching(UUID),
  })
  expect(answer.headers).toMatchObject({
    'content-type': expect.stringMatching(/^application\/json/),
    'cache-control': 'no-store',
  })
  expect(answer.text + JSON.stringify(answer.headers)).not.toContain(CANARY)
  expect(answer.text).not.toMatch(/node_modules|\.ts\b|\bat \//)
}

function parseRaw(answer: string) {
  const [head = '', text = ''] = answer.split('\r\n\r\n')
  const [first = '', ...lines] = head.split('\r\n')
  const headers = Object.fromEntries(
    lines.map(line => {
      const [name = '', ...value] = line.split(': ')
      return [name.toLowerCase(), value.join(': ')]
    }),
  )
  return { status: Number(first.split(' ')[1]), headers, text }
}

describe('an address that does not exist', () => {
  test.for([
    `/${CANARY}`,
    '/connect/',
    '/Connect',
    '/CALLBACK',
    '//connect',
    '/health/',
    '/webhooks',
    '/webhooks/',
    '/webhooks/revento/',
    '/webhooks/aghanim',
    '/.env',
    '/..%2f..%2fetc/passwd',
    '/style.css/..%2f',
    '/%00',
  ])('%s is 404 for every method', async path => {
    const pair = await shared()
    for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH'] as const) {
      const { statusCode, headers, body } = await request(pair.app.url + path, { method })
      expectShape(404, 'not_found', { status: statusCode, headers, text: await body.text() })
    }
  })

  test('an address that does not exist is a page for a browser, with nothing of the address in it', async () => {
    const pair = await shared()
    const reply = await createClient().get(`${pair.app.url}/${CANARY}?q=${CANARY}`, BROWSER)
    expect(reply.status).toBe(404)
    expect(reply.headers['content-type']).toBe('text/html; charset=utf-8')
    expect(reply.headers['cache-control']).toBe('no-store')
    expect(reply.text).toContain('404 not_found')
    expect(reply.text).not.toContain(CANARY)
  })
})

test.for(['/:a(', '/*x', '/:a(^(a+)+$)', '/:id', '/*'])(
  '%s is an address like another, not a pattern',
  async path => {
    const pair = await shared()
    const { statusCode, headers, body } = await request(`${pair.app.url}${path}`)
    expectShape(404, 'not_found', { status: statusCode, headers, text: await body.text() })
  },
)

describe('a method that an address does not answer', () => {
  const rows = Object.entries(ROUTES).flatMap(([allow, paths]) => paths.map(path => ({ path, allow })))
  test.for(rows)('$path answers $allow only: the others are 405 with Allow', async ({ path, allow }) => {
    const pair = await shared()
    const others = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'] as const
    for (const method of others.filter(m => m !== allow)) {
      const { statusCode, headers, body } = await request(`${pair.app.url}${path}`, { method })
      expectShape(405, 'method_not_allowed', { status: statusCode, headers, text: await body.text() })
      expect(headers['allow']?.toString().split(', ')[0]).toBe(allow)
    }
  })

  // /health and /ready answer it: monitors ask that way, and it changes nothing.
  const headless = rows.filter(({ path }) => path !== '/health' && path !== '/ready')
  test.for(headless)('HEAD $path is 405 too', async ({ path, allow }) => {
    const pair = await shared()
    const { statusCode, headers, body } = await request(`${pair.app.url}${path}`, { method: 'HEAD' })
    await body.dump()
    expect([statusCode, headers['allow']]).toEqual([405, allow])
  })

  test('a body of any kind, broken too, gets a 4xx of the same shape', async () => {
    const pair = await shared()
    for (const type of ['application/json', 'text/xml', 'multipart/form-data', 'nonsense'])
      for (const path of ['/connect', '/nowhere']) {
        const reply = await createClient().post(pair.app.url + path, `{"${CANARY}`, { 'content-type': type })
        expect(reply.status).toBeGreaterThanOrEqual(400)
        expect(reply.status).toBeLessThan(500)
        expectShape(reply.status, reply.json<{ error: string }>().error, reply)
      }
  })
})

const ok = 'Host: localhost\r\nConnection: close\r\n'
test.for<[string, string, number, string]>([
  ['a malformed path', `GET /%zz${CANARY} HTTP/1.1\r\n${ok}\r\n`, 400, 'bad_request'],
  ['a path that is not UTF-8', `GET /%FF HTTP/1.1\r\n${ok}\r\n`, 400, 'bad_request'],
  ['no HTTP at all', `${CANARY}\r\n\r\n`, 400, 'bad_request'],
  ['a header without a colon', `GET / HTTP/1.1\r\n${ok}${CANARY}\r\n\r\n`, 400, 'bad_request'],
  ['a space before the colon', `GET / HTTP/1.1\r\n${ok}x : y\r\n\r\n`, 400, 'bad_request'],
  ['a NUL in a header', `GET / HTTP/1.1\r\n${ok}x: a\0b\r\n\r\n`, 400, 'bad_request'],
  ['no Host', 'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'bad_request'],
  [
    'two lengths',
    `POST /webhooks/revento HTTP/1.1\r\n${ok}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab`,
    400,
    'bad_request',
  ],
  [
    'a length and chunks',
    `POST /webhooks/revento HTTP/1.1\r\n${ok}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    400,
    'bad_request',
  ],
  [
    'headers beyond 16 KiB',
    `GET / HTTP/1.1\r\n${ok}x: ${'a'.repeat(17_000)}\r\n\r\n`,
    431,
    'headers_too_large',
  ],
  ['a URL beyond 16 KiB', `GET /?${'a'.repeat(17_000)} HTTP/1.1\r\n${ok}\r\n`, 431, 'headers_too_large'],
  ['an unknown protocol version', `GET / HTTP/9.9\r\n${ok}\r\n`, 400, 'bad_request'],
  ['a method nobody knows', `FROB / HTTP/1.1\r\n${ok}\r\n`, 400, 'bad_request'],
  ['a method of WebDAV', `PROPFIND /connect HTTP/1.1\r\n${ok}\r\n`, 405, 'method_not_allowed'],
  ['TRACE', `TRACE /nowhere HTTP/1.1\r\n${ok}x: ${CANARY}\r\n\r\n`, 404, 'not_found'],
  ['OPTIONS *', `OPTIONS * HTTP/1.1\r\n${ok}\r\n`, 404, 'not_found'],
])(
  'a request that cannot be served is refused in the shape of every error: %s',
  async ([, bytes, status, code]) => {
    const pair = await shared()
    expectShape(status, code, parseRaw(await rawExchange(pair, bytes)))
    expect((await createClient().get(`${pair.app.url}/health`)).json()).toEqual({ status: 'ok' })
  },
)

test('an expectation that nobody knows is ignored (RFC 9110 section 10.1.1 allows it)', async () => {
  const pair = await shared()
  const answer = parseRaw(await rawExchange(pair, `GET /health HTTP/1.1\r\n${ok}Expect: ${CANARY}\r\n\r\n`))
  expect(answer).toMatchObject({ status: 200, text: '{"status":"ok"}' })
})

test('an address in absolute form leads to no other host', async () => {
  const pair = await shared()
  const bytes = `GET http://stranger.example/connect HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`
  const answer = await rawExchange(pair, bytes)
  expect(parseRaw(answer).status).toBeGreaterThanOrEqual(300)
  expect(parseRaw(answer).status).toBeLessThan(500)
  expect(answer).not.toContain('stranger')
})

test('a request that stalls or drips is given up after 10 s, in its headers and in its body', async () => {
  const pair = await startPair()
  const { server } = pair.app.app
  expect([server.headersTimeout, server.requestTimeout]).toEqual([10_000, 10_000])
  Object.assign(server, { headersTimeout: 500, requestTimeout: 500 })
  const headers = `POST /webhooks/revento HTTP/1.1\r\nHost: localhost\r\n`
  const body = 'Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{'
  const chunks = 'Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n'
  const [silent, ...answers] = await Promise.all([
    rawExchange(pair, ''),
    rawExchange(pair, headers),
    rawExchange(pair, headers + body),
    rawExchange(pair, `${headers}X: `, 'a'),
    rawExchange(pair, headers + body, ' '),
    rawExchange(pair, headers + chunks, '1\r\n \r\n'),
  ])
  for (const answer of answers) expectShape(408, 'request_timeout', parseRaw(answer))
  // A connection without a request gets no answer and no line in the log, because browsers open connections ahead.
  expect(silent).toBe('')
  const told = pair.app.log.filter(line => line['error'] === 'request_timeout')
  expect(told).toHaveLength(answers.length)
})
