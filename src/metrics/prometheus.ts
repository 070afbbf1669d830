import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client'
import { watchKeys } from './keys.ts'
import type { Metrics } from './metrics.ts'

export interface Prometheus extends Metrics {
  readonly contentType: string
  /** Everything, in the text format that Prometheus scrapes. */
  text(): Promise<string>
}

/** A sender gives up after 10 s, so the last bucket is where deliveries are lost to it. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Beside our own: processor time, memory, start time, file descriptors and the event loop's lag. */
export function createPrometheus(build: { version: string; mode: string }): Prometheus {
  const register = new Registry()
  collectDefaultMetrics({ register })
  const counter = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Counter({ name, help, labelNames, registers: [register] })
  const histogram = <L extends string>(name: string, help: string, labelNames: L[]) =>
    new Histogram({ name, help, labelNames, buckets: SECONDS, registers: [register] })

  const deliveries = counter('webhook_deliveries_total', 'Webhooks answered', ['provider', 'outcome'])
  const acks = histogram('webhook_ack_seconds', 'From the headers of a webhook to its answer', ['provider'])
  const commits = histogram('database_commit_seconds', 'From a verified delivery to its commit', [])
  const attempts = counter('delivery_attempts_total', 'Runs of handlers', ['provider', 'outcome'])
  const refreshes = counter('token_refreshes_total', 'Answers to refresh requests', ['outcome'])
  const apiRequests = counter('api_requests_total', 'Requests to the Revento API', ['code'])
  const info = { name: 'build_info', help: 'What runs; always 1', registers: [register] }
  new Gauge({ ...info, labelNames: ['version', 'mode'] }).set(build, 1)

  return {
    contentType: register.contentType,
    text: () => register.metrics(),
    delivery(provider, outcome, seconds) {
      deliveries.inc({ provider, outcome })
      acks.observe({ provider }, seconds)
    },
    committed: seconds => commits.observe(seconds),
    attempt: (provider, outcome) => attempts.inc({ provider, outcome }),
    refresh: outcome => refreshes.inc({ outcome }),
    apiRequest: code => apiRequests.inc({ code }),
    watchInbox({ backlog, oldestSeconds }) {
      gauge('inbox_backlog', 'Deliveries that wait for a handler or are in one', async () => backlog())
      gauge('inbox_oldest_pending_age_seconds', 'How long the one due longest has waited', oldestSeconds)
    },
    watchKeys: states => watchKeys(register, states),
  }

  /** Absent, rather than wrong, while the database does not answer; the rest is still told. */
  function gauge(name: string, help: string, read: () => Promise<number>): void {
    new Gauge({
      name,
      help,
      registers: [register],
      async collect() {
        const value = await read().catch(() => undefined)
        if (value === undefined) this.remove()
        else this.set(value)
      },
    })
  }
}
