import { once } from 'node:events'
import type { Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, beforeEach, expect, onTestFinished, test } from 'vitest'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { exchange, open, readAnswers } from './raw.ts'
import { codeOf, judge, judgeAfter, MARKER, request, type Surface, startSurface } from './surface.ts'

let surface: Surface
let rowsBefore = 0
let stored = 0
beforeAll(async () => {
  surface = await startSurface()
})
afterAll(() => surface.close())
beforeEach(async () => {
  rowsBefore = await surface.rows()
  stored = 0
})
afterEach(() => judgeAfter(surface, rowsBefore + stored))

/** Returns the bytes of a delivery on a connection that is kept open. */
function delivery(o: Parameters<typeof signedDelivery>[0] = {}): string {
  const { body, headers } = signedDelivery(o)
  const lines = Object.entries({ host: 'app.test', ...headers, 'content-length': String(body.length) })
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `POST /webhooks/revento HTTP/1.1\r\n${head}\r\n${body}`
}
const kept = (line: string, ...lines: string[]) =>
  `${[line, 'Host: app.test', ...lines].join('\r\n')}\r\n\r\n`

test('100 requests in one write are answered in their order', async () => {
  const kinds: [() => string, string][] = [
    [delivery, '200'],
    [() => delivery({ secret: 'whsec_of_somebody_else' }), '401 invalid_signature'],
    [() => kept(`GET /${MARKER} HTTP/1.1`), '404 not_found'],
    [() => delivery({ body: '[]' }), '400 invalid_payload'],
    [() => kept('GET /%zz HTTP/1.1'), '400 bad_request'],
  ]
  const rows = Array.from({ length: 100 }, (_, i) => kinds[(i * i) % kinds.length] ?? kinds[0])
  const bytes = rows.map(row => row?.[0]()).join('')
  const { answers, rest } = await exchange(surface.port, bytes, rows.length)
  expect(answers.map(codeOf)).toEqual(rows.map(row => row?.[1]))
  expect(rest).toBe('')
  for (const answer of answers) judge(answer, surface, 'one of 100')
  stored = answers.filter(({ status }) => status === 200).length
})

const chunked = ['Content-Type: application/json', 'Transfer-Encoding: chunked']
const BROKEN: [string, string][] = [
  ['no HTTP', `${MARKER}\r\n\r\n`],
  ['an unknown method', kept('FROB / HTTP/1.1')],
  ['two lengths', kept('POST /nowhere HTTP/1.1', 'Content-Length: 1', 'Content-Length: 2')],
  ['a length and chunks', kept('POST /webhooks/revento HTTP/1.1', 'Content-Length: 1', ...chunked)],
  ['a bad chunk', `${kept('POST /webhooks/revento HTTP/1.1', ...chunked)}zz\r\n`],
  ['headers that are too large', kept('GET / HTTP/1.1', `X: ${'a'.repeat(20_000)}`)],
  ['CONNECT', kept('CONNECT stranger.example:443 HTTP/1.1')],
  [
    'a delivery cut short by garbage',
    delivery().replace('content-length: ', 'content-length: 99999999999999999999'),
  ],
]
test.each(BROKEN)(
  'a broken one in the middle ends the connection, after the answers before it: %s',
  async (_, broken) => {
    const bytes = delivery() + delivery() + kept('GET /health HTTP/1.1') + delivery() + broken + delivery()
    const { answers, rest, closed } = await exchange(surface.port, bytes)
    const last = answers.pop()
    expect([answers.map(codeOf), rest, closed]).toEqual([['200', '200', '200', '200'], '', true])
    expect(last && codeOf(last)).toMatch(/^4\d\d [a-z_]+$/)
    if (last) judge(last, surface, 'the last one')
    stored = 3
    const id = (JSON.parse(last?.text ?? '{}') as { request_id: string }).request_id
    const line = await until(() => surface.app.log.find(({ request_id }) => request_id === id))
    expect(line).toMatchObject({ level: 'warn', status: last?.status, msg: 'request' })
  },
)

test('where the broken body was not wanted, its request has one answer', async () => {
  const bytes = `${delivery()}${kept('GET /health HTTP/1.1', ...chunked)}zz\r\n${delivery()}`
  const { answers, rest, closed } = await exchange(surface.port, bytes)
  expect([answers.map(codeOf), rest, closed]).toEqual([['200', '200'], '', true])
  stored = 1
})

// part: page {
test('a broken one behind a stream is not written into it, and ends it', async () => {
  const cookie = [...surface.client.cookies].map(([name, value]) => `${name}=${value}`).join('; ')
  const socket = await open(surface.port)
  let text = ''
  socket.setEncoding('latin1').on('data', chunk => (text += chunk))
  socket.write(kept('GET /deliveries/stream HTTP/1.1', `Cookie: ${cookie}`) + BROKEN[0]?.[1])
  await until(() => text.includes('\r\n\r\n'))
  await exchange(surface.port, delivery(), 1)
  stored = 1
  await until(() => text.includes('event: '))
  // Nor does it keep its place among the streams for good.
  const isOver = () => socket.readableEnded || socket.closed
  expect(isOver()).toBe(false)
  surface.pass(10_000)
  await until(isOver, 5_000)
  socket.destroy()
  expect(text.match(/HTTP\/1\.1/g)).toHaveLength(1)
  expect(text).not.toContain('bad_request')
})
// part: page }

test('a delivery whose sender has finished sending is stored; Node may not wait with the answer', async () => {
  const socket = await open(surface.port)
  socket.resume().end(delivery())
  await once(socket, 'end')
  await until(async () => (await surface.rows()) === rowsBefore + 1)
  stored = 1
})

test('who goes on sending after a refusal reads it, and is cut off soon', async () => {
  const socket = await open(surface.port)
  socket.on('error', () => {})
  let text = ''
  socket.setEncoding('latin1').on('data', chunk => (text += chunk))
  socket.write(`${MARKER}\r\n\r\n`)
  const sending = setInterval(() => socket.write('a'.repeat(65_536)), 5)
  await until(() => socket.closed)
  clearInterval(sending)
  expect(readAnswers(text, true).answers.map(codeOf)).toEqual(['400 bad_request'])
})

test('what is cut off in its middle is not stored, and is no error of ours', async () => {
  const whole = delivery()
  const inChunks = `${kept('POST /webhooks/revento HTTP/1.1', ...chunked)}5\r\n{"id"\r\n`
  const cuts = [5, 60, whole.indexOf('\r\n\r\n') + 2, whole.indexOf('\r\n\r\n') + 4, whole.length - 1]
  const parts = [...cuts.map(length => whole.slice(0, length)), inChunks]
  const ends: ((socket: Socket) => void)[] = [
    socket => socket.resetAndDestroy(),
    socket => socket.destroy(),
    socket => socket.end(),
  ]
  for (const part of parts)
    for (const end of ends) {
      // Answered on the way: then the app has read what stands behind it as well.
      const socket = await open(surface.port)
      socket.on('error', () => {})
      socket.write(kept('GET /health HTTP/1.1') + part)
      await once(socket, 'data')
      end(socket)
      socket.resume()
      await until(() => socket.closed || socket.readableEnded)
      socket.destroy()
    }
})

test('a body over the limit is refused when its length is known, and the rest of it is not waited for', async () => {
  const head = ['Content-Type: application/json', `X-Marker: ${MARKER}`]
  const declared = kept('POST /webhooks/revento HTTP/1.1', ...head, 'Content-Length: 262145')
  const endless = [
    kept('POST /webhooks/revento HTTP/1.1', ...chunked),
    ...Array(10).fill(`8000\r\n${'['.repeat(0x8000)}\r\n`),
  ]
  for (const bytes of [declared, endless]) {
    const { answers } = await exchange(surface.port, bytes, 1)
    expect(answers.map(codeOf)).toEqual(['413 payload_too_large'])
    for (const answer of answers) judge(answer, surface, 'over the limit')
  }
})

test('beyond its limit sockets are closed at once, and those that it holds are served', async () => {
  const { server } = surface.app.app
  const limit = server.maxConnections
  const before = await new Promise<number>((resolve, reject) =>
    server.getConnections((error, count) => (error ? reject(error) : resolve(count))),
  )
  server.maxConnections = before + 100
  onTestFinished(() => {
    server.maxConnections = limit
  })
  const sockets = await Promise.all(Array.from({ length: 300 }, () => open(surface.port)))
  for (const socket of sockets) socket.on('error', () => {}).resume()
  const held = () => sockets.filter(socket => !socket.readableEnded && !socket.destroyed)
  await until(() => held().length === 100)
  const answered = held().map(async socket => {
    socket.write(kept('GET /health HTTP/1.1'))
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    return chunk.toString().slice(9, 12)
  })
  expect(new Set(await Promise.all(answered))).toEqual(new Set(['200']))
  for (const socket of sockets) socket.destroy()
  // Who comes after them is served: that is what afterEach asks.
  await until(
    async () => (await exchange(surface.port, request('GET /health HTTP/1.1'))).answers.length === 1,
  )
})
