import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { Runtime } from '../process/runtime.ts'
import { AppError, type ErrorCode, errorBody } from './errors.ts'

interface RefusalOptions {
  readonly logger: FastifyBaseLogger
  readonly runtime: Pick<Runtime, 'sleep' | 'uuid'>
}

interface Refusals {
  /** The handler for requests that Node's parser refuses. */
  readonly onClientError: (error: Error & { code?: string }, socket: Socket) => void
  /** Notes each request that arrives, and refuses tunnels. */
  watch(server: FastifyInstance['server']): void
}

const CLIENT_ERRORS: Record<string, ErrorCode> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_HEADER_OVERFLOW: 'headers_too_large',
}

/** How long answers before a refusal may take: no sender waits longer, and a stream never ends. */
const ANSWERS_MS = 10_000
/** How long bytes that still come after a refusal are read and dropped. */
const LINGER_MS = 1_000

/** The newest request of a connection, and the answer before it. */
interface Latest {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly before: ServerResponse | undefined
}

/**
 * Answers what the HTTP parser refused, which never becomes a request, in the form of every error, and ends the
 * connection. Answers to earlier requests on it go first: otherwise the sender of a stored delivery would read a refusal.
 */
export function createRefusals({ logger, runtime }: RefusalOptions): Refusals {
  const latest = new WeakMap<Socket, Latest>()
  const refused = new WeakSet<Socket>()

  function refuse(socket: Socket, code: ErrorCode, reason: string | undefined): void {
    refused.add(socket)
    // The bytes that follow cannot be read as requests.
    socket.pause()
    cutAfter(ANSWERS_MS, socket)
    const last = latest.get(socket)
    const broken = last && !last.request.complete ? last.response : undefined
    after(broken ? last?.before : last?.response, () => {
      // The last request, if its body is broken, may have been answered already: it must not get two answers.
      if (broken?.headersSent) after(broken, () => end(socket))
      else answer(socket, code, reason)
    })
  }

  function answer(socket: Socket, code: ErrorCode, reason: string | undefined): void {
    if (!socket.writable) return void socket.destroy()
    const { status } = new AppError(code)
    const request_id = runtime.uuid()
    logger.warn({ request_id, status, error: code, reason }, 'request')
    end(socket, written(status, code, JSON.stringify(errorBody(code, request_id))))
  }

  /** Reads on for a while: a socket closed with unread bytes could be reset before the caller has read the answer. */
  function end(socket: Socket, bytes = ''): void {
    socket.end(bytes)
    socket.resume()
    cutAfter(LINGER_MS, socket)
  }

  function cutAfter(ms: number, socket: Socket): void {
    const closed = new AbortController()
    socket.once('close', () => closed.abort())
    runtime.sleep(ms, closed.signal).then(
      () => socket.destroy(),
      () => {},
    )
  }

  return {
    onClientError(error, socket) {
      // A connection is refused once: the bytes that still come cannot be read either.
      if (refused.has(socket)) return
      // A browser opens connections ahead: a connection without a request gets no answer.
      if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesRead === 0)
        return void socket.destroy()
      refuse(socket, CLIENT_ERRORS[error.code ?? ''] ?? 'bad_request', error.code)
    },
    watch(server) {
      server.on('request', (request: IncomingMessage, response: ServerResponse) => {
        const before = latest.get(request.socket)?.response
        latest.set(request.socket, { request, response, before })
      })
      // Node passes the bare socket on and does not listen to it any more.
      server.on('connect', (_request, socket: Socket) => {
        socket.on('error', () => socket.destroy())
        refuse(socket, 'bad_request', 'connect')
      })
    },
  }
}

function after(response: ServerResponse | undefined, next: () => void): void {
  if (!response || response.writableFinished) next()
  else response.once('close', next)
}

const written = (status: number, code: ErrorCode, body: string) =>
  [
    `HTTP/1.1 ${status} ${code}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Cache-Control: no-store',
    'X-Content-Type-Options: nosniff',
    'Connection: close',
    '',
    body,
  ].join('\r\n')

/**
 * Answers 400 to requests that Node's parser accepts though a proxy before it may read them in another way, and to those
 * that Node would answer by itself without a body. Ends the connection, because what follows may be ambiguous too.
 */
export function refuseAmbiguous(app: FastifyInstance): void {
  // An expectation may be ignored (RFC 9110 section 10.1.1).
  app.server.on('checkExpectation', (request, response) => app.server.emit('request', request, response))
  app.addHook('onRequest', ({ raw }, reply, done) => {
    const reason = lineFault(raw) ?? hostFault(raw) ?? codingFault(raw)
    if (reason === undefined) return done()
    reply.header('connection', 'close')
    done(new AppError('bad_request', { reason }))
  })
}

/** Node's parser accepts 2.0, takes a line without a version for 0.9, and the router reads `*` as `/`. */
function lineFault({ httpVersion, method, url }: IncomingMessage): string | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'http_version'
  return url === '*' && method !== 'OPTIONS' ? 'target' : undefined
}

const HOST = /^[\w.~%!$&'()*+,;=:[\]-]*$/

/** RFC 9112 section 3.2. Of two Host headers Node takes the first. */
function hostFault({ httpVersion, headers, rawHeaders }: IncomingMessage): string | undefined {
  if (headers.host === undefined) return httpVersion === '1.0' ? undefined : 'no_host'
  let given = 0
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i]?.length === 4 && rawHeaders[i]?.toLowerCase() === 'host') given++
  return given === 1 && HOST.test(headers.host) ? undefined : 'host_malformed'
}

/** RFC 9112 section 6.1: Node decodes no coding but chunked, and version 1.0 has none. */
function codingFault({ httpVersion, headers }: IncomingMessage): string | undefined {
  const coding = headers['transfer-encoding']
  if (coding === undefined) return undefined
  return coding.toLowerCase() === 'chunked' && httpVersion === '1.1' ? undefined : 'transfer_encoding'
}
