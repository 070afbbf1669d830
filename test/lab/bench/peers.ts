import { createServer } from 'node:http'
import express from 'express'
import fastify from 'fastify'
import { revento } from '../../../src/webhooks/providers/revento.ts'
import { verify } from '../../../src/webhooks/verify/signature.ts'

/**
 * What others do with the same delivery: check the same signature, parse, answer; nothing stored, nothing logged.
 * node test/lab/bench/peers.ts fastify|express|http PORT SECRET
 */
const [kind = '', port = '', secret = ''] = process.argv.slice(2)

type Headers = Record<string, string | string[] | undefined>

function check(headers: Headers, body: Buffer): boolean {
  if (!verify(revento, { current: secret }, headers, body, Date.now()).ok) return false
  const json: unknown = JSON.parse(body.toString())
  return revento.read({ json, deliveryId: null, unsignedType: null, fingerprint: () => '' }) !== undefined
}

const PEERS: Record<string, () => unknown> = {
  fastify() {
    const app = fastify()
    app.removeAllContentTypeParsers()
    app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
    app.post('/webhooks/revento', async (request, reply) => {
      if (!check(request.headers, request.body as Buffer)) return reply.code(401).send('no')
      return 'ok'
    })
    return app.listen({ port: Number(port) })
  },
  /** As quickstarts show it: express.raw, verify, 200. */
  express() {
    const app = express()
    app.post('/webhooks/revento', express.raw({ type: 'application/json' }), (request, response) => {
      if (check(request.headers, request.body)) response.status(200).send('ok')
      else response.status(401).send('no')
    })
    return app.listen(Number(port), '127.0.0.1')
  },
  http: () =>
    createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', chunk => chunks.push(chunk))
      request.on('end', () => {
        response.statusCode = check(request.headers, Buffer.concat(chunks)) ? 200 : 401
        response.end('ok')
      })
    }).listen(Number(port), '127.0.0.1'),
}
PEERS[kind]?.()
