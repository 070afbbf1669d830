import { afterAll, beforeAll, test } from 'vitest'
import { signedDelivery } from '../helpers/webhook.ts'
import { MARKER, request, routesOf, type Surface, startSurface } from './surface.ts'
import { BAD, GET, NOT_FOUND, OK, POST, type Row, sweep, TOO_LARGE } from './sweep.ts'

let surface: Surface
beforeAll(async () => {
  surface = await startSurface()
})
afterAll(() => surface.close())

const plain = (what: string, expected: string, ...lines: string[]): Row => [
  what,
  request(GET, lines),
  expected,
]

test('request lines', async () => {
  const line = (text: string, expected: string): Row => [JSON.stringify(text), request(text), expected]
  await sweep(surface, [
    ...['get', 'Get', 'gET', 'FROB', '', ' GET', 'GET\t', 'G ET', 'GET\0', '\xc7ET'].map(method =>
      line(`${method} /health HTTP/1.1`, BAD),
    ),
    ...[
      'HTTP/1.2',
      'HTTP/2.0',
      'HTTP/1',
      'HTTP/1.1.1',
      'http/1.1',
      'HTTP/ 1.1',
      'HTTP/01.1',
      'ICE/1.0',
      'x',
    ].map(version => line(`GET /health ${version}`, BAD)),
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', BAD],
    ['HTTP/0.9', 'GET /health\r\n\r\n', BAD],
    ['HTTP/1.0 without Host', 'GET /health HTTP/1.0\r\n\r\n', OK],
    ['HTTP/1.0 that wants to keep it', 'GET /health HTTP/1.0\r\nConnection: close\r\n\r\n', OK],
    ['a handshake of TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', BAD],
    ['line feeds alone', `GET /health HTTP/1.1\nHost: localhost\nConnection: close\n\n`, BAD],
    ['an empty line before', `\r\n\r\n${request(GET)}`, OK],
    ...['health', '\\health', '', '?x', '#', 'localhost:80', '*'].map(target =>
      line(`GET ${target} HTTP/1.1`, BAD),
    ),
    ...['\t', '\x0b', '\x0c', '\x7f', '\0', '\xe9', '\r', '\n', ' '].map(c =>
      line(`GET /${c}health HTTP/1.1`, BAD),
    ),
    line(`GET /${'a'.repeat(17_000)} HTTP/1.1`, TOO_LARGE),
    line('GET http://stranger.example/health HTTP/1.1', OK),
    line('GET https://stranger.example/nowhere HTTP/1.1', NOT_FOUND),
    line('GET ftp://stranger.example/health HTTP/1.1', BAD),
    line('GET http://a:b@stranger.example/connect HTTP/1.1', '302'),
    line('GET /health#fragment HTTP/1.1', OK),
  ])
})

test('methods that a route does not have, on every route', async () => {
  const methods = [
    'HEAD',
    'OPTIONS',
    'TRACE',
    'PUT',
    'PATCH',
    'DELETE',
    'PROPFIND',
    'M-SEARCH',
    'PURGE',
    'LINK',
  ]
  const rows = routesOf(surface).flatMap(({ path, methods: own }) => {
    const refused = [...methods, 'GET', 'POST'].filter(method => !own.includes(method))
    const address = path.replaceAll(':id', '1')
    // A pattern is not looked up: what it does not answer is not there.
    const code = path.includes(':') ? NOT_FOUND : '405 method_not_allowed'
    return [
      ...refused.map((method): Row => {
        const answer = method === 'HEAD' ? code.slice(0, 3) : code
        return [`${method} ${path}`, request(`${method} ${address} HTTP/1.1`, [`X: ${MARKER}`]), answer]
      }),
      [`get ${path}`, request(`get ${address} HTTP/1.1`), BAD] satisfies Row,
      [`CONNECT ${path}`, request(`CONNECT ${address} HTTP/1.1`), BAD] satisfies Row,
      [`QUERY ${path}`, request(`QUERY ${address} HTTP/1.1`), BAD] satisfies Row,
    ]
  })
  const override = ['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override', '_method']
  await sweep(surface, [
    ...rows,
    ['CONNECT to another host', request('CONNECT stranger.example:443 HTTP/1.1'), BAD],
    ...override.map(
      (name): Row => [name, request('GET /logout HTTP/1.1', [`${name}: POST`]), '405 method_not_allowed'],
    ),
  ])
})

/** There any text is looked up as an id. */
const DELIVERY = /^\/deliveries\/[^/]*$/

test('paths that are nearly those of a route', async () => {
  const near = (path: string) => [
    `/${path}`,
    `/.${path}`,
    `/x/..${path}`,
    `/%2e${path}`,
    `/x/%2e%2e${path}`,
    path.replace('/', '/%2f'),
    path.replace('/', '/%5c'),
    `${path}/`,
    `${path}/.`,
    `${path}/..`,
    `${path};jsessionid=${MARKER}`,
    `${path};`,
    `${path}%3f`,
    `${path}%00`,
    `${path}%20`,
    `${path}%0d%0aX:%20${MARKER}`,
    `${path}.json`,
    `${path}:`,
    path.toUpperCase(),
    `${path}%c2%a0`,
    `${path}%e2%80%8b`,
  ]
  // Overlong, a half surrogate, cut off, or no hex digits.
  const malformed = [
    '%c0%af',
    '%e0%80%af',
    '%f0%80%80%af',
    '%ed%a0%80',
    '%ff',
    '%e2%82',
    '%',
    '%2',
    '%zz',
    '%u002f',
  ]
  const paths = routesOf(surface).filter(({ path }) => path !== '/' && !path.includes(':'))
  await sweep(
    surface,
    paths.flatMap(({ path, methods: [method = 'GET'] }) => [
      ...near(path).map((one): Row => {
        const answer = DELIVERY.test(one) ? '401 unauthenticated' : NOT_FOUND
        return [one, request(`${method} ${one} HTTP/1.1`), answer]
      }),
      [
        `a coded slash first: ${path}`,
        request(`${method} ${path.replace('/', '%2f')} HTTP/1.1`),
        BAD,
      ] satisfies Row,
      ...malformed.map((one): Row => [path + one, request(`${method} ${path}${one} HTTP/1.1`), BAD]),
    ]),
  )
})

test('headers', async () => {
  const many = (count: number, line: string) => Array.from({ length: count }, () => line)
  await sweep(surface, [
    ['no Host', 'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n', BAD],
    plain('two that differ', BAD, `Host: ${MARKER}.example`),
    plain('two alike', BAD, 'hOST: app.test'),
    ...['a b', 'a/b', 'a@b', 'a\\b', '<a>', '"a"', 'a?b', 'a#b', '\xe9'].map(
      (host): Row => [
        `Host: ${host}`,
        `GET /health HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
        BAD,
      ],
    ),
    ...['', 'stranger.example', '[::1]:3000', '127.0.0.1'].map(
      (host): Row => [
        `Host: ${host}`,
        `GET /health HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`,
        OK,
      ],
    ),
    plain(
      'a foreign host in headers of proxies',
      OK,
      `X-Forwarded-Host: ${MARKER}`,
      `Forwarded: host=${MARKER}`,
    ),
    plain('another scheme and address', OK, 'X-Forwarded-Proto: https', 'X-Forwarded-For: 127.0.0.1'),
    plain('a folded line', BAD, 'X: a', ` ${MARKER}`),
    ['a folded first line', `${GET}\r\n X: a\r\nHost: a\r\n\r\n`, BAD],
    plain('a space before the colon', BAD, `X : ${MARKER}`),
    plain('no name', BAD, ': x'),
    plain('no colon', BAD, MARKER),
    plain('a name that is not ASCII', BAD, 'X\xe9: a'),
    plain('a NUL', BAD, 'X: a\0b'),
    plain('a carriage return', BAD, `X: a\rSet-Cookie: ${MARKER}`),
    plain('a delete', BAD, 'X: a\x7fb'),
    plain('a bell', BAD, 'X: a\x07b'),
    plain('bytes beyond ASCII', OK, `X: \xe9\xff${MARKER}`),
    plain('64 KB in one', TOO_LARGE, `X: ${'a'.repeat(65_536)}`),
    plain('64 KB in a name', TOO_LARGE, `${'a'.repeat(65_536)}: x`),
    plain('800', OK, ...many(800, `X: ${MARKER}`)),
    plain('5,000 empty ones', TOO_LARGE, ...many(5_000, 'X:')),
    plain('names of Object', OK, '__proto__: polluted', 'constructor: x', 'toString: x', 'hasOwnProperty: x'),
    plain('a cookie of names of Object', OK, 'Cookie: __proto__=polluted; constructor=x; prototype=x'),
    plain(
      'an upgrade to WebSocket',
      OK,
      'Upgrade: websocket',
      'Sec-WebSocket-Key: x',
      'Sec-WebSocket-Version: 13',
    ),
    plain('an upgrade to HTTP/2', OK, 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'),
    plain('an unknown expectation', OK, `Expect: ${MARKER}`),
    plain('Accept without end', OK, `Accept: ${'text/html;q=0.1,'.repeat(900)}`),
    plain('weights that are none', OK, 'Accept: text/html;q=NaN, text/html;q=1e9, text/html;q=-1, */*;q='),
    plain('a range', OK, 'Range: bytes=0-1,0-1,0-1', 'If-None-Match: *', 'If-Match: "x"'),
  ])
})

test('signed deliveries whose headers another program could read in another way', async () => {
  const { body, headers } = signedDelivery()
  const [signature, timestamp] = [headers['x-revento-signature'], headers['x-revento-timestamp']]
  const own = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
  const send = (what: string, expected: string, lines: string[]): Row => [
    what,
    request(POST, [...lines, `Content-Length: ${body.length}`], body.toString()),
    expected,
  ]
  const but = (name: string, ...lines: string[]) => [...own.filter(line => !line.startsWith(name)), ...lines]
  const refused = '401 invalid_signature'
  await sweep(
    surface,
    [
      send('two signatures', refused, [...own, `X-Revento-Signature: ${signature}`]),
      send('a wrong one after it', refused, [...own, 'X-Revento-Signature: sha256=00']),
      send('two timestamps', refused, [...own, `X-Revento-Timestamp: ${timestamp}`]),
      send('two ids', '400 invalid_delivery_id', [...own, 'X-Revento-Delivery-Id: 2']),
      send('a folded signature', BAD, but('x-revento-sig', 'X-Revento-Signature:', ` ${signature}`)),
      send('an underscore', refused, but('x-revento-sig', `X_Revento_Signature: ${signature}`)),
      send('a space before the colon', BAD, but('x-revento-sig', `X-Revento-Signature : ${signature}`)),
      send('no content type', '415 unsupported_media_type', but('content-type')),
      send('another content type first', '415 unsupported_media_type', ['Content-Type: text/plain', ...own]),
      // Node takes the first. It is not signed, and the body is read as JSON whatever it says.
      send('another content type after it', OK, [...own, 'Content-Type: text/plain']),
      send(
        'upper case and white space',
        OK,
        own.map(line => line.replace(/^(\S+): (.*)$/, (_, n, v) => `${n.toUpperCase()}:\t ${v} \t`)),
      ),
    ],
    2,
  )
})
