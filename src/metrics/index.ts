import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Log } from '../process/log.ts'
import { readManifest } from '../process/manifest.ts'
import type { Metrics } from './metrics.ts'
import type { Prometheus } from './prometheus.ts'

interface OpenedMetrics extends Metrics {
  readonly url: string
  listen(): Promise<{ close(): Promise<void> }>
}

interface MetricsSettings {
  readonly host: string
  readonly metricsPort: number | undefined
  readonly mode: 'sandbox' | 'real'
}

/** Undefined where METRICS_PORT is not set; the library is not loaded then. */
export async function openMetrics(config: MetricsSettings, log: Log): Promise<OpenedMetrics | undefined> {
  const { host, metricsPort: port, mode } = config
  if (port === undefined) return undefined
  const { createPrometheus } = await import('./prometheus.ts')
  const source = createPrometheus({ version: readManifest().version, mode })
  return {
    ...source,
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}/metrics`,
    listen: () => listenForScrapes({ host, port, source, log }),
  }
}

interface ListenerOptions {
  readonly host: string
  readonly port: number
  readonly source: Pick<Prometheus, 'contentType' | 'text'>
  readonly log: Log
}

const SCRAPE_MS = 10_000

/** Serves GET /metrics on a port of its own, so that publishing the app does not publish its metrics. */
async function listenForScrapes(o: ListenerOptions): Promise<{ close(): Promise<void> }> {
  const bounds = { headersTimeout: SCRAPE_MS, requestTimeout: SCRAPE_MS, connectionsCheckingInterval: 1_000 }
  // An import from an ES module reads every name of node:http, and one of them loads all of Node's own undici: 20 ms.
  const { createServer } = await import('node:http')
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
