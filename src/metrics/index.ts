import type { Log } from '../process/log.ts'
import { readManifest } from '../process/manifest.ts'
import { listenForScrapes } from './listener.ts'
import type { Metrics } from './metrics.ts'

export interface OpenedMetrics extends Metrics {
  readonly url: string
  listen(): Promise<{ close(): Promise<void> }>
}

interface MetricsSettings {
  readonly host: string
  readonly metricsPort: number | undefined
  readonly mode: 'sandbox' | 'real'
}

/** Undefined where METRICS_PORT is not set: then the library is not even loaded. */
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
