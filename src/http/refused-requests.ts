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
  /** Node's handler for what its parser refuses. */
  readonly onClientError: (error: Error & { code?: string }, socket: Socket) => void
  /** Sees each request that does arrive, and refuses tunnels. */
  watch(server: FastifyInstance['server']): void
}

const CLIENT_ERRORS: Record<string, ErrorCode> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
  HPE_HEADER_OVERFLOW: 'headers_too_large',
}

/** So long the answers before a refusal may take: no sender waits longer, and a stream never ends. */
const ANSWERS_MS = 10_000
/** What a caller still sends after it was refused is read and dropped for so long. */
const LINGER_MS = 1_000

/** The newest request of a connection, and what is answered before it. */
interface Latest {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly before: ServerResponse | undefined
}

/**
 * What the HTTP parser refused never becomes a request: it is answered here, by hand, in the shape of every error, and
 * ends its connection. Where requests before it are still being answered, those answers go first: in its place, the
 * sender of a delivery that was stored would read a refusal.
 */
export function createRefusals({ logger, runtime }: RefusalOptions): Refusals {
  const latest = new WeakMap<Socket, Latest>()
  const refused = new WeakSet<Socket>()

  function refuse(socket: Socket, code: ErrorCode, reason: string | undefined): void {
    refused.add(socket)
    // What follows cannot be read as requests.
    socket.pause()
    cutAfter(ANSWERS_MS, socket)
    const last = latest.get(socket)
    const broken = last && !last.request.complete ? last.response : undefined
    after(broken ? last?.before : last?.response, () => {
      // Where the body of the last one is broken, it may have been answered without it: one answer, not two.
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

  /** Closed at once with something unread, the socket could be reset before the answer has been read. */
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
      // Told once: what it still sends cannot be read either.
      if (refused.has(socket)) return
      // A browser opens connections ahead: where nothing was asked, nothing is answered.
      if (error.code === 'ECONNRESET' || !socket.writable || socket.bytesRead === 0)
        return void socket.destroy()
      refuse(socket, CLIENT_ERRORS[error.code ?? ''] ?? 'bad_request', error.code)
    },
    watch(server) {
      server.on('request', (request: IncomingMessage, response: ServerResponse) => {
        const before = latest.get(request.socket)?.response
        latest.set(request.socket, { request, response, before })
      })
      // Node hands the bare socket over and listens to it no more.
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
 * 400 for what Node's parser accepts though a proxy before it may read it in another way, and for what Node would answer
 * by itself with no body. Ends the connection: what follows may be read in two ways too.
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

/** Node's parser reads 2.0 too, and takes a line without a version for 0.9; the router reads `*` as `/`. */
function lineFault({ httpVersion, method, url }: IncomingMessage): string | undefined {
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'http_version'
  return url === '*' && method !== 'OPTIONS' ? 'target' : undefined
}

const HOST = /^[\w.~%!$&'()*+,;=:[\]-]*$/

/** RFC 9112 section 3.2. Of two, Node takes the first. */
function hostFault({ httpVersion, headers, rawHeaders }: IncomingMessage): string | undefined {
  if (headers.host === undefined) return httpVersion === '1.0' ? undefined : 'no_host'
  let given = 0
  for (let i = 0; i < rawHeaders.length; i += 2)
    if (rawHeaders[i]?.length === 4 && rawHeaders[i]?.toLowerCase() === 'host') given++
  return given === 1 && HOST.test(headers.host) ? undefined : 'host_malformed'
}

/** RFC 9112 section 6.1: no coding but chunked is undone here, and version 1.0 has none. */
function codingFault({ httpVersion, headers }: IncomingMessage): string | undefined {
  const coding = headers['transfer-encoding']
  if (coding === undefined) return undefined
  return coding.toLowerCase() === 'chunked' && httpVersion === '1.1' ? undefined : 'transfer_encoding'
}
