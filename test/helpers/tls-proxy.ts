import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { join } from 'node:path'
import tls from 'node:tls'
import { request } from 'undici'
import { onTestFinished } from 'vitest'
import { testFolder } from './folder.ts'

/** What the proxy does to requests and answers that pass it. */
export interface ProxyWays {
  /** Where it returns an answer, the proxy gives that one, and the app gets no request. */
  answer?: (path: string) => { status: number; headers: Record<string, string> } | undefined
  body?: (body: Buffer) => Buffer
  /** The names of request headers that the proxy drops; `dropsOut` are those of answers. */
  dropsIn?: readonly string[]
  dropsOut?: readonly string[]
  /** By how many seconds the proxy's Date header is ahead; where it is absent the proxy sets none. */
  aheadS?: number
}

export interface Certificate {
  readonly cert: string
  readonly key: string
  /** The path of the certificate, for NODE_EXTRA_CA_CERTS. */
  readonly file: string
}

/** Makes a self-signed certificate for localhost. */
export function certificate(): Certificate {
  const folder = testFolder()
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const how = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  execFileSync('openssl', [...how, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8'), file: cert }
}

/** Makes this process trust the certificate until the test ends. */
export function trust(cert: string): void {
  const before = tls.getCACertificates('default')
  tls.setDefaultCACertificates([...before, cert])
  onTestFinished(() => tls.setDefaultCACertificates(before))
}

/** Starts a proxy that ends TLS on `port` and passes each request on to `target`, changed as `ways` say. */
export async function tlsProxy(
  port: number,
  target: string,
  own: Certificate,
  ways: ProxyWays = {},
): Promise<Server> {
  const server = createServer({ cert: own.cert, key: own.key }, async (incoming, outgoing) => {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const instead = ways.answer?.(incoming.url ?? '')
    if (instead) return outgoing.writeHead(instead.status, instead.headers).end()
    const body = Buffer.concat(chunks)
    const headers = without(incoming.headers, ['connection', 'content-length', ...(ways.dropsIn ?? [])])
    const {
      statusCode,
      headers: answered,
      body: stream,
    } = await request(target + incoming.url, {
      method: incoming.method === 'POST' ? 'POST' : 'GET',
      headers,
      body: incoming.method === 'POST' ? (ways.body?.(body) ?? body) : null,
    })
    const date =
      ways.aheadS === undefined ? {} : { date: new Date(Date.now() + ways.aheadS * 1000).toUTCString() }
    outgoing.writeHead(statusCode, {
      ...without(answered, ['connection', ...(ways.dropsOut ?? [])]),
      ...date,
    })
    outgoing.end(await stream.text())
    return undefined
  })
  await new Promise<void>(resolve => server.listen(port, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return server
}

type Headers = Record<string, string | string[] | undefined>
const without = (headers: Headers, names: readonly string[]): Record<string, string | string[]> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || names.includes(name) ? [] : [[name, value]],
    ),
  )
