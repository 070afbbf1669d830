import { afterAll, beforeAll, test } from 'vitest'
import { signedDelivery } from '../helpers/webhook.ts'
import { MARKER, request, type Surface, startSurface } from './surface.ts'
import { BAD, GET, NOT_FOUND, OK, POST, type Row, sweep, TOO_LARGE } from './sweep.ts'

let surface: Surface
beforeAll(async () => {
  surface = await startSurface()
})
afterAll(() => surface.close())

test('a body whose length can be read in two ways is refused, or read in one way', async () => {
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
    surface,
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
