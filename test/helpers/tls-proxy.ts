import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:https'
import { join } from 'node:path'
import tls from 'node:tls'
import { request } from 'undici'
import { onTestFinished } from 'vitest'
import { testFolder } from './folder.ts'

/** What a proxy in front of the app may do to what passes. */
export interface ProxyWays {
  /** Answers in the app's place. */
  answer?: (path: string) => { status: number; headers: Record<string, string> } | undefined
  body?: (body: Buffer) => Buffer
  /** Names of headers that are lost, each way. */
  dropsIn?: readonly string[]
  dropsOut?: readonly string[]
  /** Seconds that its Date header is ahead; absent: it sets none of its own. */
  aheadS?: number
}

export interface Certificate {
  readonly cert: string
  readonly key: string
  /** For NODE_EXTRA_CA_CERTS. */
  readonly file: string
}

/** Self-signed, for localhost. */
export function certificate(): Certificate {
  const folder = testFolder()
  const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const how = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  execFileSync('openssl', [...how, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  return { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8'), file: cert }
}

/** This process takes it for one more authority until the test ends. */
export function trust(cert: string): void {
  const before = tls.getCACertificates('default')
  tls.setDefaultCACertificates([...before, cert])
  onTestFinished(() => tls.setDefaultCACertificates(before))
}

/** Ends TLS on that port and passes everything on to `target`, in its ways. */
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
