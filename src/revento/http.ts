import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib'
import { Agent, buildConnector, type Dispatcher, errors, request } from 'undici'
import { beginSpan, inSpan, refuseSpan, traceparentOf } from '../process/tracing.ts'

const TIMEOUT_MS = 10_000
const CONNECT_MS = 5_000

/** The HTTP clients for Revento. Proxy variables of the environment are ignored: secrets go straight to Revento. */
export interface Outgoing {
  readonly api: Dispatcher
  readonly token: Dispatcher
  close(): Promise<void>
}

/**
 * Each request has a connection of its own, so HTTP/2 is off. On a shared one a surplus answer would be read as the answer to
 * another organizer's request, and a POST whose connection was just being closed would have an unknown outcome.
 */
export function createOutgoing(): Outgoing {
  const agent = () =>
    new Agent({ pipelining: 0, allowH2: false, maxResponseSize: ANSWER_LIMIT, connect: connector() })
  const api = agent()
  const token = agent()
  return {
    api,
    token,
    close: async () => {
      await Promise.all([api.destroy(), token.destroy()])
    },
  }
}

/** No connection was made, or its certificate was not trusted: nothing was sent. */
class NotConnected extends Error {
  override readonly name = 'NotConnected'
}

function connector(): buildConnector.connector {
  // Stated here, rejectUnauthorized wins over NODE_TLS_REJECT_UNAUTHORIZED.
  const connect = buildConnector({ timeout: CONNECT_MS, allowH2: false, rejectUnauthorized: true })
  return (options, callback) =>
    connect(options, (...[error, socket]) => {
      if (error) callback(new NotConnected('no connection', { cause: error }), null)
      else callback(null, socket)
    })
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

interface Request {
  readonly method: 'GET' | 'POST'
  readonly headers: Record<string, string>
  readonly body?: string
  readonly signal?: AbortSignal
}

/** Makes one HTTP request, in a span where spans are recorded, whose trace Revento continues. */
export function exchange(dispatcher: Dispatcher, url: string, o: Request): Promise<HttpAnswer> {
  const [address = ''] = url.split('?', 1)
  const path = address.replace(ORIGIN, '').replace(ONE_EVENT, '/events/{event_id}')
  const span = beginSpan(`${o.method} ${path}`, { kind: 'client' })
  if (!span) return send(dispatcher, url, o)
  return inSpan(span, async () => {
    const { hostname, port } = new URL(address)
    span.setAttributes({ 'http.request.method': o.method, 'url.full': address, 'server.address': hostname })
    if (port !== '') span.setAttribute('server.port', Number(port))
    const headers = { ...o.headers, traceparent: traceparentOf(span) }
    const answer = await send(dispatcher, url, { ...o, headers })
    span.setAttribute('http.response.status_code', answer.status)
    if (answer.status >= 400) refuseSpan(span, String(answer.status))
    return answer
  })
}

const ORIGIN = /^\w+:\/\/[^/]+/
const ONE_EVENT = /\/events\/[^/]+/

/**
 * Sends a request, bounded in total time (a body that drips included) and in size, before and after decompression.
 * Redirects are not followed: a secret goes to one host.
 */
async function send(dispatcher: Dispatcher, url: string, options: Request): Promise<HttpAnswer> {
  const limits = [AbortSignal.timeout(TIMEOUT_MS), ...(options.signal ? [options.signal] : [])]
  const { statusCode, headers, body } = await request(url, {
    method: options.method,
    headers: { ...options.headers, 'accept-encoding': 'identity' },
    body: options.body ?? null,
    dispatcher,
    signal: AbortSignal.any(limits),
  })
  return { status: statusCode, headers, text: await readText(body, headers['content-encoding']) }
}

/** Whether no byte of the request has left, so that sending it again does not send it twice. */
export const neverSent = (error: unknown): boolean => causes(error).some(e => e instanceof NotConnected)

const TIMEOUTS = new Set(['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'])

/** AbortSignal.timeout rejects with a DOMException, whose `code` is a number: it is recognised by its name. */
export const isTimeout = (error: unknown): boolean =>
  causes(error).some(
    ({ name, code }) => name === 'TimeoutError' || (code !== undefined && TIMEOUTS.has(code)),
  )

/** Whether the answer was cut off at the limit; a repeated request would end in the same way. */
export const isTooLarge = (error: unknown): boolean =>
  causes(error).some(({ code }) => code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE')

/** The network's code for a failure, such as ENOTFOUND, or else the name of the error. */
export function reasonOf(error: unknown): string {
  const chain = causes(error)
  const code = chain.map(e => e.code).find(code => typeof code === 'string')
  return code ?? chain.map(e => e.name).find(name => name !== undefined && name !== 'Error') ?? 'unknown'
}

function causes(error: unknown): { name?: string; code?: string }[] {
  const chain: { name?: string; code?: string; cause?: unknown; errors?: unknown[] }[] = []
  for (let e = error; typeof e === 'object' && e !== null && chain.length < 8; ) {
    const link = e as (typeof chain)[number]
    chain.push(link)
    e = link.cause ?? link.errors?.[0]
  }
  return chain
}

/** The most bytes of an answer, both as it comes and when it is decompressed. */
const ANSWER_LIMIT = 1024 * 1024
/** The most pieces of an answer: a piece costs far more than its bytes, and a million of them 300 MB. */
const MOST_PIECES = 10_000

/** Reads the body of an answer as UTF-8. */
async function readText(
  body: AsyncIterable<Uint8Array>,
  encoding: string | string[] | undefined,
): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of body)
    if (pieces.push(piece) > MOST_PIECES) throw new errors.ResponseExceededMaxSizeError()
  const bytes = Buffer.concat(pieces)
  return new TextDecoder().decode(encoding === undefined ? bytes : await decoded(bytes, String(encoding)))
}

type Decode = (body: Uint8Array, o: { maxOutputLength: number }) => Promise<Uint8Array>
const gzip: Decode = promisify(gunzip)
const DECODERS = new Map<string, Decode>([
  ['identity', async body => body],
  ['gzip', gzip],
  ['x-gzip', gzip],
  ['deflate', promisify(inflate)],
  ['br', promisify(brotliDecompress)],
  ['zstd', promisify(zstdDecompress)],
])

/** Undoes compression, which a proxy may add unasked (RFC 9110 section 12.5.3), or claim of a body that it left alone. */
async function decoded(body: Uint8Array, encoding: string): Promise<Uint8Array> {
  const decode = DECODERS.get(encoding.trim().toLowerCase())
  try {
    if (decode) return await decode(body, { maxOutputLength: ANSWER_LIMIT })
  } catch (error) {
    if (error instanceof RangeError) throw new errors.ResponseExceededMaxSizeError()
  }
  if (body[0] === OPENING_BRACE) return body
  throw new UnreadableBody(decode ? 'broken_content_encoding' : 'unknown_content_encoding')
}

const OPENING_BRACE = 0x7b

/** Thrown when the bytes of an answer cannot be decompressed. */
class UnreadableBody extends Error {
  override readonly name = 'UnreadableBody'
  readonly code: string
  constructor(code: string) {
    super(code)
    this.code = code
  }
}
