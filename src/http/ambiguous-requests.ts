import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { AppError } from './errors.ts'

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
