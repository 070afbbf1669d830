import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Log } from '../process/log.ts'
import type { Prometheus } from './prometheus.ts'

export interface ListenerOptions {
  readonly host: string
  readonly port: number
  readonly source: Pick<Prometheus, 'contentType' | 'text'>
  readonly log: Log
}

const SCRAPE_MS = 10_000

/** GET /metrics on a port of its own, so that publishing the app does not publish this. */
export async function listenForScrapes(o: ListenerOptions): Promise<{ close(): Promise<void> }> {
  const bounds = { headersTimeout: SCRAPE_MS, requestTimeout: SCRAPE_MS, connectionsCheckingInterval: 1_000 }
  const server = createServer(bounds, (request, response) => void answer(o, request, response))
  server.maxConnections = 100
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(o.port, o.host, () => {
      server.off('error', reject)
      resolve()
    })
  })
  return {
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(o: ListenerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.url?.split('?', 1)[0] !== '/metrics') return void response.writeHead(404).end()
  if (request.method !== 'GET') return void response.writeHead(405, { allow: 'GET' }).end()
  try {
    const text = await o.source.text()
    response.writeHead(200, { 'content-type': o.source.contentType }).end(text)
  } catch (err) {
    o.log.error({ part: 'metrics', err }, 'cannot tell the metrics')
    response.writeHead(500).end()
  }
}
