import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { UPSTREAM_TEXT } from '../oauth/harness.ts'
import type { Wire } from './hostile-server.ts'

/** An answer that is well formed, but for what a row makes of it. */
export function http(status: number, body: string | Buffer, headers: Record<string, string> = {}): Wire {
  const given = {
    'content-type': 'application/json',
    'content-length': String(Buffer.byteLength(body)),
    ...headers,
  }
  return socket => {
    socket.write(head(status, given))
    socket.write(body)
  }
}

const head = (status: number, headers: Record<string, string> = {}) =>
  `HTTP/1.1 ${status} Whatever\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`

/** Says it once and leaves the connection open. */
const says =
  (...parts: (string | Buffer)[]): Wire =>
  socket => {
    for (const part of parts) socket.write(part)
  }
const saysAndEnds =
  (text: string): Wire =>
  socket =>
    void socket.end(text)
const saysAndResets =
  (text: string): Wire =>
  socket => {
    if (text === '') socket.resetAndDestroy()
    else socket.write(text, () => socket.resetAndDestroy())
  }

/** The same again and again, a little at a time, until the other end has had enough. */
const drips =
  (first: string, again: string, everyMs = 100): Wire =>
  socket => {
    socket.write(first)
    const timer = setInterval(() => socket.write(again), everyMs)
    socket.once('close', () => clearInterval(timer))
  }

/** The same as fast as it is read. */
const floods =
  (first: string, again: string | Buffer, megabytes = 8): Wire =>
  socket => {
    let left = megabytes * 1024 * 1024
    const pour = () => {
      while (left > 0 && !socket.destroyed) {
        left -= again.length
        if (!socket.write(again)) return void socket.once('drain', pour)
      }
      socket.end()
    }
    socket.write(first)
    pour()
  }

const JSON_HEAD = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'
const CHUNKED = `${JSON_HEAD}Transfer-Encoding: chunked\r\n\r\n`
const WORDS = JSON.stringify({ error: 'odd_code', message: UPSTREAM_TEXT })
const HTML = `<meta http-equiv="refresh" content="0; url=http://foreign/"><h1>${UPSTREAM_TEXT}</h1>`

export type Wires = Readonly<Record<string, Wire>>

/** Where a follower would go: to the foreign server, or back to the same one. */
export function redirects(foreign: string): Wires {
  const to = (status: number, location: string) => http(status, WORDS, { location })
  const absolute = [301, 302, 303, 307, 308].map(status => [`${status} to another host`, to(status, foreign)])
  return {
    ...Object.fromEntries(absolute),
    '307 to the same host': to(307, '/elsewhere'),
    '307 without a scheme': to(307, foreign.replace('http:', '')),
    '308 with user and password': to(308, foreign.replace('//', '//user:word@')),
    '307 to a file': to(307, 'file:///etc/passwd'),
    '302 to data': to(302, `data:application/json,${WORDS}`),
    '300 with a choice': http(300, HTML, { location: foreign, 'content-type': 'text/html' }),
    '305 to a proxy': to(305, foreign),
  }
}

/** A status that says it did not work: the refresh token may be sent again later. */
export const refusals = (foreign: string): Wires => ({
  '500 HTML': http(500, HTML, { 'content-type': 'text/html' }),
  '502 with nothing': http(502, ''),
  '503 with a Retry-After of 30 million years': http(503, WORDS, { 'retry-after': '9'.repeat(15) }),
  '503 with a Retry-After in words': http(503, WORDS, { 'retry-after': '-1, NaN, 1e9' }),
  '429 with a reset in milliseconds': http(429, WORDS, { 'x-ratelimit-reset': String(Date.now()) }),
  '401 with a challenge': http(401, WORDS, { 'www-authenticate': `Bearer realm="${UPSTREAM_TEXT}"` }),
  '407 that wants a proxy': http(407, WORDS, { 'proxy-authenticate': `Basic realm="${UPSTREAM_TEXT}"` }),
  '401 with two challenges and a cookie': http(401, WORDS, {
    'www-authenticate': 'Bearer, ,, Basic realm="\\',
    'set-cookie': `upstream=${UPSTREAM_TEXT}`,
  }),
  '400 with an error that is a path': http(400, JSON.stringify({ error: '../../token', message: 1 })),
  '403 with an error that is an object': http(403, '{"error":{"toString":1,"length":2}}'),
  '404 with a page that goes elsewhere': http(404, HTML, { refresh: `0; url=${foreign}` }),
  '421 with another service': http(421, WORDS, { 'alt-svc': `h2="${foreign.slice(7)}"; ma=86400` }),
})

/** It was sent, and what came is no answer. */
export const nonsense = (foreign: string): Wires => ({
  '200 HTML that goes elsewhere': http(200, HTML, { 'content-type': 'text/html', location: foreign }),
  '200 with a Refresh header': http(200, 'no json', { refresh: `0; url=${foreign}` }),
  '200 with a cookie and no body': http(200, '', { 'set-cookie': `a=${UPSTREAM_TEXT}` }),
  'JSON with a text in front': http(200, `)]}',\n${WORDS}`),
  'JSON in UTF-16': http(200, Buffer.from(WORDS, 'utf16le')),
  'bytes that are no UTF-8': http(200, Buffer.from('7b22ff80c0af223a317d', 'hex')),
  'a text, a number': http(200, '"x" 7'),
  'a level for each byte': http(200, '['.repeat(900_000)),
  'a body that is compressed': http(200, gzipSync(WORDS), { 'content-encoding': 'gzip' }),
  'the preface of HTTP/2': says('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', Buffer.from('000000040000000000', 'hex')),
  'a frame of HTTP/2': says(Buffer.from('00000004000000000000000401000000000000', 'hex'), '\r\n\r\n'),
  'HTTP/0.9': saysAndEnds('{"access_token":"x"}'),
  'HTTP/9.9': says('HTTP/9.9 200 OK\r\nContent-Length: 2\r\n\r\n{}'),
  'random bytes': says(Buffer.alloc(4096, 0x9d)),
  'a status of two digits': says('HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}'),
  'a status of four digits': says('HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}'),
  'a header name with a space': says(`${JSON_HEAD}Content Length: 2\r\n\r\n{}`),
  'a header with NUL': says(`${JSON_HEAD}X-A: a\0b\r\nContent-Length: 2\r\n\r\n{}`),
  'a header folded over two lines': says(`${JSON_HEAD}X-A: a\r\n b\r\nContent-Length: 2\r\n\r\n{}`),
  'lengths that differ': says(`${JSON_HEAD}Content-Length: 2\r\nContent-Length: 20\r\n\r\n{}`),
  'a length and chunks': says(
    `${JSON_HEAD}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
  ),
  'a negative length': says(`${JSON_HEAD}Content-Length: -1\r\n\r\n{}`),
  'a chunk of a negative size': says(`${CHUNKED}-2\r\n{}\r\n0\r\n\r\n`),
  'a chunk that is shorter than it says': saysAndEnds(`${CHUNKED}ff\r\n{}`),
  'a body that is shorter than it says': saysAndEnds(`${JSON_HEAD}Content-Length: 900\r\n\r\n${WORDS}`),
  'a switch of protocols': says(head(101, { connection: 'upgrade', upgrade: 'h2c' }), WORDS),
  '100 Continue for ever': drips(head(100), head(100), 1),
  '204 with a body': http(204, WORDS),
  '205 with a body': http(205, WORDS),
  'an end instead of an answer': saysAndEnds(''),
  'an end in the headers': saysAndEnds(JSON_HEAD),
  'a reset instead of an answer': saysAndResets(''),
  'a reset in the status line': saysAndResets('HTTP/1.1 2'),
  'a reset in the headers': saysAndResets(JSON_HEAD),
  'a reset in the body': saysAndResets(`${JSON_HEAD}Content-Length: 900\r\n\r\n${WORDS}`),
})

/** Nothing is late by itself; the whole never ends. */
export const endless: Wires = {
  silence: () => {},
  'headers, one a while': drips(JSON_HEAD, 'X-A: 1\r\n'),
  'a header, a byte at a time': drips(`${JSON_HEAD}X-A: `, 'a'),
  'a body, a byte at a time': drips(`${JSON_HEAD}Content-Length: 900\r\n\r\n`, ' '),
  'chunks without an end': drips(CHUNKED, '1\r\n \r\n'),
  'the extension of a chunk': drips(`${CHUNKED}2;a=`, 'b'),
  'trailers without an end': drips(`${CHUNKED}2\r\n{}\r\n0\r\n`, 'X-A: 1\r\n'),
  '103 Early Hints': drips(head(103, { link: '</x>; rel=preload' }), head(103)),
  'a terabyte that does not come': drips(`${JSON_HEAD}Content-Length: 1000000000000\r\n\r\n{`, ' '),
}

/** The compressed ones hold hundreds of megabytes in less than one. */
export function bombs(): Wires {
  const zeros = Buffer.alloc(16 * 1024 * 1024)
  const many = (one: Buffer, times: number) => Buffer.concat(Array.from({ length: times }, () => one))
  const encoded = (encoding: string, body: Buffer) => http(200, body, { 'content-encoding': encoding })
  return {
    'gzip, 800 MB': encoded('gzip', many(gzipSync(zeros), 50)),
    'zstd, 800 MB': encoded('zstd', many(zstdCompressSync(zeros), 50)),
    'brotli, 16 MB': encoded('br', brotliCompressSync(zeros)),
    'deflate twice, 16 MB': encoded('deflate, deflate', deflateSync(deflateSync(zeros))),
    'a length beyond 64 bits': says(`${JSON_HEAD}Content-Length: 99999999999999999999\r\n\r\n{`),
    '8 MB of body': floods(`${JSON_HEAD}Content-Length: 8388608\r\n\r\n`, zeros.subarray(0, 65_536)),
    '8 MB in chunks': floods(CHUNKED, `ffff\r\n${' '.repeat(65_535)}\r\n`),
    '8 MB in chunks of a byte': floods(CHUNKED, '1\r\n \r\n'.repeat(10_000)),
    '8 MB of headers': floods(JSON_HEAD, 'X-A: 1234567890\r\n'.repeat(1000)),
    '8 MB of one header': floods(`${JSON_HEAD}X-A: `, 'a'.repeat(65_536)),
    '8 MB of a status': floods('HTTP/1.1 200 ', 'a'.repeat(65_536)),
    '8 MB of hints': floods('', head(103).repeat(1000)),
    '8 MB of a chunk extension': floods(`${CHUNKED}2;a=`, 'b'.repeat(65_536)),
    '8 MB of trailers': floods(`${CHUNKED}2\r\n{}\r\n0\r\n`, 'X-A: 1234567890\r\n'.repeat(1000)),
  }
}
