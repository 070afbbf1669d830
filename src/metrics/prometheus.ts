import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client'
import { canGo, type KeyState } from '../keys/verdict.ts'
import type { Metrics } from './metrics.ts'

export interface Prometheus extends Metrics {
  readonly contentType: string
  /** All metrics in the text format that Prometheus reads. */
  text(): Promise<string>
}

/** A sender gives up after 10 s: an answer beyond the last bucket comes too late for it. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** Our metrics and the library's: processor time, memory, start time, file descriptors, lag of the event loop. */
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
  const jobs = counter('job_runs_total', 'Runs of your jobs', ['job', 'outcome'])
  const syncs = counter('sync_runs_total', 'Comparisons of the participants with Revento', ['outcome'])
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
    run: (provider, outcome) => attempts.inc({ provider, outcome }),
    resolved() {},
    job: (job, outcome) => jobs.inc({ job, outcome }),
    sync: outcome => syncs.inc({ outcome }),
    refresh: outcome => refreshes.inc({ outcome }),
    apiRequest: code => apiRequests.inc({ code }),
    watchInbox({ backlog, oldestSeconds }) {
      gauge('inbox_backlog', 'Deliveries that wait for a handler or are in one', async () => backlog())
      gauge('inbox_oldest_pending_age_seconds', 'How long the one due longest has waited', oldestSeconds)
    },
    watchKeys: states => watchKeys(register, states),
  }

  /** The gauge is absent while the database does not answer; the other metrics are still served. */
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

/** Shows, while a secret or key is changed, when the old one was last used and whether it can go. Read once a scrape. */
function watchKeys(register: Registry, read: () => Promise<readonly KeyState[]>): void {
  let reading: Promise<readonly KeyState[]> | undefined
  const states = () => {
    reading ??= read()
      .catch(() => [])
      .finally(() => {
        reading = undefined
      })
    return reading
  }
  const gauge = <L extends string>(
    name: string,
    help: string,
    labelNames: L[],
    show: (gauge: Gauge<L>, state: KeyState) => void,
  ) =>
    new Gauge({
      name,
      help,
      labelNames,
      registers: [register],
      async collect() {
        const known = await states()
        // An unknown value must be absent, but a reset leaves a 0 where there are no labels.
        this.reset()
        if (labelNames.length === 0) this.remove()
        for (const state of known) show(this, state)
      },
    })

  const lastUsed = 'key_last_used_timestamp_seconds'
  gauge(lastUsed, 'Last use of a secret or key; absent before the first', ['variable', 'key'], (g, state) => {
    for (const key of ['current', 'previous'] as const) {
      const at = state[key]?.lastUsedAt ?? 0
      if (at > 0) g.set({ variable: state.variable, key }, at / 1000)
    }
  })
  const removable = 'key_previous_removable'
  gauge(removable, '1: _PREVIOUS can be removed; absent where it is not set', ['variable'], (g, state) => {
    if (state.verdict) g.set({ variable: state.variable }, canGo(state) ? 1 : 0)
  })
  const left = 'sealed_values_previous_key'
  gauge(left, 'Values under ENCRYPTION_KEY_PREVIOUS; absent where it is not set', [], (g, state) => {
    if (state.left !== undefined) g.set(state.left)
  })
}
