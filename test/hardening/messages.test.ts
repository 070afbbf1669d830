import { afterAll, beforeAll, expect, test } from 'vitest'
import { signedDelivery } from '../helpers/webhook.ts'
import { exchange } from './raw.ts'
import {
  codeOf,
  judge,
  judgeAfter,
  MARKER,
  request,
  routesOf,
  type Surface,
  startSurface,
} from './surface.ts'

let surface: Surface
beforeAll(async () => {
  surface = await startSurface()
})
afterAll(() => surface.close())

/** What is sent, and `status code` of each answer, in their order. */
type Row = [what: string, bytes: string, ...answers: string[]]

const GET = 'GET /health HTTP/1.1'
const POST = 'POST /webhooks/revento HTTP/1.1'
const OK = '200'
const BAD = '400 bad_request'
const NOT_FOUND = '404 not_found'
const TOO_LARGE = '431 headers_too_large'

/** Sends each row; fails with those that were answered in another way than it says. */
async function sweep(rows: readonly Row[], stored = 0): Promise<void> {
  const before = await surface.rows()
  const wrong: unknown[] = []
  let slowest = { what: '', ms: 0 }
  for (const [what, bytes, ...expected] of rows) {
    const startedAt = performance.now()
    const { answers, rest, closed } = await exchange(surface.port, bytes)
    const ms = performance.now() - startedAt
    if (ms > slowest.ms) slowest = { what, ms }
    const given = answers.map(codeOf)
    if (given.join() !== expected.join() || rest !== '' || !closed)
      wrong.push({ what, expected, given, rest, closed })
    for (const answer of answers) judge(answer, surface, what)
  }
  expect(wrong).toEqual([])
  await judgeAfter(surface, before + stored)
  console.log(`${rows.length} messages; the slowest took ${slowest.ms.toFixed(1)} ms: ${slowest.what}`)
}

const plain = (what: string, expected: string, ...lines: string[]): Row => [
  what,
  request(GET, lines),
  expected,
]

test('request lines', async () => {
  const line = (text: string, expected: string): Row => [JSON.stringify(text), request(text), expected]
  await sweep([
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
    line('GET ftp://stranger.example/health HTTP/1.1', NOT_FOUND),
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
  await sweep([
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
  await sweep([
    ['no Host', 'GET /health HTTP/1.1\r\nConnection: close\r\n\r\n', BAD],
    plain('two that differ', BAD, `Host: ${MARKER}.example`),
    plain('two alike', BAD, 'hOST: localhost'),
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

test('bodies whose length can be read in two ways', async () => {
  const signed = () => {
    // All of one size.
    const { body, headers } = signedDelivery({ event: { id: crypto.randomUUID() } })
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`)
    return { body: body.toString(), size: body.length, lines }
  }
  const bytes = ({ body, lines }: ReturnType<typeof signed>, framing: string[], sent = body) =>
    request(POST, [...lines, ...framing], sent)
  const lengths = (size: number): [string, string][] => [
    ...['+', '-', '0x', '.', '"'].map((before): [string, string] => [`${before}${size}`, BAD]),
    ...[', ', ' 1', '.0', 'e0', ';', 'a', '\t1'].map((after): [string, string] => [`${size}${after}`, BAD]),
    ['', BAD],
    ['99999999999999999999999', BAD],
    [`${size}, ${size}`, BAD],
    [`0${size}`, OK],
    [` ${size} `, OK],
  ]
  const chunks = (body: string, size: number) => `${size.toString(16)}\r\n${body}\r\n0\r\n\r\n`
  const codings: [string[], string][] = [
    [['Transfer-Encoding: chunked'], OK],
    [['Transfer-Encoding: \t cHuNked '], OK],
    ...[
      'xchunked',
      'chunked, gzip',
      'gzip, chunked',
      'chunked, chunked',
      ',chunked',
      'chunked,',
      '"chunked"',
    ].map((coding): [string[], string] => [[`Transfer-Encoding: ${coding}`], BAD]),
    ...['', 'identity', 'chunked;a=b', '\x0bchunked', 'chunk', 'chunked\0'].map(
      (coding): [string[], string] => [[`Transfer-Encoding: ${coding}`], BAD],
    ),
    [['Transfer-Encoding: chunked', 'Transfer-Encoding: identity'], BAD],
    [['Transfer-Encoding: identity', 'Transfer-Encoding: chunked'], BAD],
    [['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'], BAD],
    [['Transfer-Encoding : chunked'], BAD],
    [['Transfer-Encoding:', ' chunked'], BAD],
    // Neither: there is no body, and after the answer the connection ends.
    [['Transfer_Encoding: chunked'], '401 invalid_signature'],
    [['Transfer-Encoding: chunked', 'Content-Length: 5'], BAD],
    [['Content-Length: 5', 'Transfer-Encoding: chunked'], BAD],
    [['Content-Length: 0', 'Transfer-Encoding: chunked'], BAD],
  ]
  const framed = (size: string, body: string, end = '0\r\n\r\n') => `${size}\r\n${body}\r\n${end}`
  const inChunks: [string, (body: string, size: string) => string, string][] = [
    ['an extension', (body, size) => framed(`${size};${MARKER}="a;b"`, body), OK],
    ['a trailer', (body, size) => framed(size, body, `0\r\nX: ${MARKER}\r\n\r\n`), OK],
    ['zeros before the size', (body, size) => framed(`000${size}`, body), OK],
    ['an extension of 20 KB', (body, size) => framed(`${size};${'a'.repeat(20_000)}`, body), BAD],
    ['a line feed in an extension', (body, size) => framed(`${size};a\nb`, body), BAD],
    [
      'a trailer of 70 KB',
      (body, size) => framed(size, body, `0\r\nX: ${'a'.repeat(70_000)}\r\n\r\n`),
      TOO_LARGE,
    ],
    ['no size', body => framed('', body), BAD],
    ['no hex', body => framed('zz', body), BAD],
    ['a negative size', (body, size) => framed(`-${size}`, body), BAD],
    ['a plus', (body, size) => framed(`+${size}`, body), BAD],
    ['0x', (body, size) => framed(`0x${size}`, body), BAD],
    ['a space before', (body, size) => framed(` ${size}`, body), BAD],
    ['a space after', (body, size) => framed(`${size} `, body), BAD],
    ['more than 64 bits', body => framed('fffffffffffffffff', body), BAD],
    ['line feeds alone', (body, size) => framed(size, body).replaceAll('\r\n', '\n'), BAD],
    ['a chunk longer than it says', (body, size) => framed(size, `${body}x`), BAD],
    ['no line after a chunk', (body, size) => `${size}\r\n${body}0\r\n\r\n`, BAD],
  ]
  const rows: Row[] = [
    ...lengths(signed().size).map(
      ([length, answer]): Row => [
        `Content-Length:${length}`,
        bytes(signed(), [`Content-Length:${length}`]),
        answer,
      ],
    ),
    ...codings.map(([lines, answer]): Row => {
      const one = signed()
      return [lines.join(), bytes(one, lines, chunks(one.body, one.size)), answer]
    }),
    ...inChunks.map(([what, write, answer]): Row => {
      const one = signed()
      return [
        what,
        bytes(one, ['Transfer-Encoding: chunked'], write(one.body, one.size.toString(16))),
        answer,
      ]
    }),
  ]
  const one = signed()
  const signature = one.lines.filter(line => line.startsWith('x-')).join('\r\n')
  const inTrailer = `POST /webhooks/revento HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/json\r\n`
  const asVersion10 = bytes(one, ['Transfer-Encoding: chunked'], chunks(one.body, one.size)).replace(
    '1.1',
    '1.0',
  )
  const hidden = 'GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n'
  await sweep(
    [
      ...rows,
      ['the same length twice', bytes(one, Array(2).fill(`Content-Length: ${one.size}`)), BAD],
      ['no length at all', bytes(one, []), '401 invalid_signature'],
      ['chunks in HTTP/1.0', asVersion10, BAD],
      [
        'a signature in the trailer',
        `${inTrailer}Transfer-Encoding: chunked\r\n\r\n${framed(one.size.toString(16), one.body, `0\r\n${signature}\r\n\r\n`)}`,
        '401 invalid_signature',
      ],
      // A request inside a body that nobody reads is no request.
      ['a body with GET', request(GET, [`Content-Length: ${hidden.length}`], hidden), OK],
      ['chunks with GET', request(GET, ['Transfer-Encoding: chunked'], chunks(hidden, hidden.length)), OK],
      [
        'a request in a body that is not wanted',
        `POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: ${hidden.length}\r\n\r\n${hidden}${request(GET)}`,
        NOT_FOUND,
        OK,
      ],
    ],
    rows.filter(([, , answer]) => answer === OK).length,
  )
})
