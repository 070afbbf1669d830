import { expect, test } from 'vitest'
import { createPrometheus, type Prometheus } from '../../src/metrics/prometheus.ts'
import { aghanim } from '../../src/webhooks/providers/aghanim.ts'
import { createClient } from '../helpers/client.ts'
import { testRuntime } from '../helpers/runtime.ts'
import { SENDERS_ENV, signedAs } from '../helpers/senders.ts'
import { emptyPage, json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { connect, knows, participantsUrl, startPair } from '../oauth/harness.ts'
import { startReceiver } from '../webhooks/harness.ts'
import { question } from '../webhooks/inline/inline-harness.ts'

const prometheus = () => createPrometheus({ version: '1.2.3', mode: 'real' })

/** Returns the samples whose name begins so: name with labels -> value. */
async function samples(source: Prometheus, name: string): Promise<Record<string, number>> {
  const lines = (await source.text()).split('\n').filter(line => line.startsWith(name))
  return Object.fromEntries(
    lines.map(line => [line.slice(0, line.lastIndexOf(' ')), Number(line.split(' ').pop())]),
  )
}

async function receiver(o: Parameters<typeof startReceiver>[0] = {}) {
  const metrics = prometheus()
  const app = await startReceiver({ ...o, metrics })
  return { ...app, metrics, count: (name: string) => samples(metrics, name) }
}

test('runs of jobs are counted by their name and outcome', async () => {
  const metrics = prometheus()
  for (const outcome of ['done', 'done', 'failed', 'missed'] as const) metrics.job('seats', outcome)
  expect(await samples(metrics, 'job_runs_total')).toEqual({
    'job_runs_total{job="seats",outcome="done"}': 2,
    'job_runs_total{job="seats",outcome="failed"}': 1,
    'job_runs_total{job="seats",outcome="missed"}': 1,
  })
})

test('deliveries are counted by provider and outcome, in seconds until their answer and their commit', async () => {
  const app = await receiver()
  await app.send()
  await app.send()
  await app.send({ secret: 'whsec_of_somebody_else' })
  await app.send({ body: '{"id":' })
  await until(async () => Object.keys(await app.count('webhook_deliveries_total')).length === 3)
  expect(await app.count('webhook_deliveries_total')).toEqual({
    'webhook_deliveries_total{provider="revento",outcome="accepted"}': 2,
    'webhook_deliveries_total{provider="revento",outcome="invalid_signature"}': 1,
    'webhook_deliveries_total{provider="revento",outcome="invalid_json"}': 1,
  })
  expect(await app.count('webhook_ack_seconds_count')).toEqual({
    'webhook_ack_seconds_count{provider="revento"}': 4,
  })
  expect(await app.count('database_commit_seconds_count')).toEqual({ database_commit_seconds_count: 2 })
  expect((await app.count('database_commit_seconds_sum'))['database_commit_seconds_sum']).toBeLessThan(10)
  await app.close()
})

test('no id, path or text of a request becomes a label: the series stay as many', async () => {
  const app = await receiver({ env: SENDERS_ENV })
  const client = createClient()
  const odd = (i: number) => signedDelivery({ id: `label-${i}`, event: { type: `made.up_${i}` } })
  const round = async (i: number) => {
    const { body, headers } = odd(i)
    await client.post(`${app.url}/webhooks/%72evento?x=${i}`, body, headers)
    await client.post(`${app.url}/webhooks/unknown-${i}`, body, headers)
    await client.get(`${app.url}/webhooks/handshake?verify_token=${i}`)
    await client.post(`${app.url}/webhooks/handshake`, '{}', { 'content-type': 'application/json' })
  }
  await round(0)
  await app.settled()
  const before = Object.keys(await app.count('webhook_'))
  for (let i = 1; i <= 3; i++) await round(i)
  await app.settled()
  const after = await app.count('webhook_')
  expect(Object.keys(after)).toEqual(before)
  expect(after['webhook_deliveries_total{provider="revento",outcome="accepted"}']).toBe(4)
  expect(after['webhook_deliveries_total{provider="handshake",outcome="not_authorised"}']).toBe(4)
  expect(await app.metrics.text()).not.toMatch(/label-|made\.up|unknown-/)
  await app.close()
})

test('an answer that a handler made is accepted or denied', async () => {
  const answers = [{ status: 200 }, { status: 403 }]
  const handlers = { revento: {}, aghanim: { 'player.verify': async () => answers.shift() } }
  const app = await receiver({ env: SENDERS_ENV, handlers })
  for (const id of ['one', 'two']) {
    const { body, headers } = signedAs(aghanim, { body: question({ idempotency_key: id }) })
    await createClient().post(`${app.url}/webhooks/aghanim`, body, headers)
  }
  await until(async () => Object.keys(await app.count('webhook_deliveries_total')).length === 2)
  expect(await app.count('webhook_deliveries_total')).toEqual({
    'webhook_deliveries_total{provider="aghanim",outcome="accepted"}': 1,
    'webhook_deliveries_total{provider="aghanim",outcome="denied"}': 1,
  })
  await app.close()
})

test('runs are counted by outcome; the backlog and its age are read at the scrape', async () => {
  let finish = () => {}
  const handler = () =>
    new Promise<void>((resolve, reject) => {
      finish = () => reject(new Error('first run'))
      if (runs++ > 0) resolve()
    })
  let runs = 0
  const app = await receiver({
    handlers: { revento: { 'application.approved': handler } },
    runtime: testRuntime({ moving: true }),
  })
  expect(await app.count('inbox_')).toEqual({ inbox_backlog: 0, inbox_oldest_pending_age_seconds: 0 })
  await app.send()
  await until(() => runs === 1)
  expect((await app.count('inbox_'))['inbox_backlog']).toBe(1)
  finish()
  await app.settled()
  expect(await app.count('delivery_attempts_total')).toEqual({
    'delivery_attempts_total{provider="revento",outcome="retry"}': 1,
    'delivery_attempts_total{provider="revento",outcome="done"}': 1,
  })
  await app.close()
})

test('API calls are counted by status, refreshes by outcome; what Revento writes is no label', async () => {
  const metrics = prometheus()
  const pair = await startPair({ metrics })
  pair.upstream.onToken = json(200, tokens({ access_token: 'old' }))
  const { client } = await connect(pair)
  pair.upstream.onApi = knows('fresh')
  pair.upstream.onToken = json(200, tokens({ access_token: 'fresh' }))
  await client.get(participantsUrl(pair))
  pair.upstream.onApi = json(404, { error: 'a_word_of_revento' })
  await client.get(participantsUrl(pair))
  pair.upstream.onApi = (_request, response) => response.destroy()
  await client.get(participantsUrl(pair))
  pair.upstream.onApi = json(200, emptyPage)
  expect(await samples(metrics, 'api_requests_total')).toMatchObject({
    'api_requests_total{code="200"}': 2,
    'api_requests_total{code="401"}': 1,
    'api_requests_total{code="404"}': 1,
    'api_requests_total{code="upstream_error"}': expect.any(Number),
  })
  expect(await samples(metrics, 'token_refreshes_total')).toEqual({
    'token_refreshes_total{outcome="tokens"}': 1,
  })
  expect(await metrics.text()).not.toContain('a_word_of_revento')
})

test('a gauge that cannot be read is absent, and the rest is still told', async () => {
  const metrics = prometheus()
  metrics.watchInbox({ backlog: () => 7, oldestSeconds: () => Promise.reject(new Error('locked')) })
  expect(await samples(metrics, 'inbox_')).toEqual({ inbox_backlog: 7 })
  expect(await samples(metrics, 'build_info')).toEqual({ 'build_info{version="1.2.3",mode="real"}': 1 })
  for (const name of ['nodejs_eventloop_lag_p99_seconds', 'process_resident_memory_bytes'])
    expect(Object.keys(await samples(metrics, name))).toEqual([name])
  expect(await samples(metrics, 'process_start_time_seconds')).toHaveProperty('process_start_time_seconds')
})

const WIRE = `
  webhook_deliveries_total counter {provider="p",outcome="o"}
  webhook_ack_seconds histogram {provider="p"}
  database_commit_seconds histogram
  delivery_attempts_total counter {provider="p",outcome="done"}
  token_refreshes_total counter {outcome="tokens"}
  api_requests_total counter {code="200"}
  build_info gauge {version="1.2.3",mode="real"}
  inbox_backlog gauge
  inbox_oldest_pending_age_seconds gauge
  key_last_used_timestamp_seconds gauge {variable="V",key="current"}
  key_previous_removable gauge {variable="V"}
  sealed_values_previous_key gauge
  process_cpu_seconds_total counter
  process_resident_memory_bytes gauge
  process_start_time_seconds gauge
  nodejs_eventloop_lag_p99_seconds gauge
  nodejs_heap_size_used_bytes gauge
  nodejs_gc_duration_seconds histogram`

/** Dashboards and alerts are written for these, whichever library serves them. */
test('each metric has the name, the type and the labels that dashboards are written for', async () => {
  const metrics = prometheus()
  metrics.delivery('p', 'o', 0.002)
  metrics.committed(0.002)
  metrics.run('p', 'done')
  metrics.refresh('tokens')
  metrics.apiRequest('200')
  metrics.watchInbox({ backlog: () => 7, oldestSeconds: async () => 1 })
  const used = { since: 1_000, lastUsedAt: 2_000 }
  metrics.watchKeys(async () => [
    { variable: 'V', current: used, previous: undefined, left: 3, verdict: 'removable' },
  ])
  const text = await metrics.text()
  const wire = [
    ...text.matchAll(/^# TYPE (\S+) (\S+)\n(?:\1(?:_bucket)?(?:\{(?:le="[^"]*",?)?(.*?)\})? )?/gm),
  ]
  const lines = wire.map(([, name, type, labels]) => `${name} ${type}${labels ? ` {${labels}}` : ''}`)
  for (const line of WIRE.trim().split(/\n */)) expect(lines).toContain(line)
})
