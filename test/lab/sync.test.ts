import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { createApiClient } from '../../src/revento/api.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import { createBudgets } from '../../src/storage/api-budgets.ts'
import { launch } from '../helpers/stage.ts'
import { json, startUpstream } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { mostWithin } from '../revento/api-harness.ts'
import { KEY, people, startMirror } from '../sync/stage.ts'

const WORKER = fileURLToPath(new URL('sync-worker.ts', import.meta.url))
const COUNT = 10_000
/** A minute of Revento's takes so long here: its windows, and the share of them that comparisons have. */
const MINUTE_MS = 1_500
const windows = (minute: number, hour: number) => [
  { limit: minute, lengthMs: MINUTE_MS },
  { limit: hour, lengthMs: 60 * MINUTE_MS },
]
const [WINDOWS, SHARE] = [windows(30, 500), windows(20, 300)]

test('10,000 participants are copied within the limits beside a script and webhooks, by a second process when the first is killed', {
  timeout: 300_000,
}, async () => {
  const upstream = await startUpstream()
  onTestFinished(() => upstream.close())
  let list = people(COUNT)
  const calls: { at: number; shared: boolean }[] = []
  upstream.onApi = (request, response) => {
    const shared = request.path.endsWith('/participants')
    calls.push({ at: performance.now(), shared })
    const start = Number(request.query.get('cursor') ?? 0)
    const end = start + Number(request.query.get('limit') ?? 25)
    const more = end < list.length
    const page = { data: list.slice(start, end), next_cursor: more ? String(end) : null, has_more: more }
    json(200, shared ? page : { title: 'Event' })(request, response)
  }
  const s = await startMirror()
  await s.connect()
  const worker = () => {
    const args = [WORKER, s.database.url, upstream.apiBase, JSON.stringify(WINDOWS), JSON.stringify(SHARE)]
    const child = launch(args)
    onTestFinished(async () => void (await child.stop('SIGKILL')))
    return child
  }

  const outgoing = createOutgoing()
  onTestFinished(() => outgoing.close())
  const log = { info() {}, warn() {}, error() {} }
  const limits = { budgets: createBudgets(s.query, 'real'), windows: WINDOWS }
  const client = createApiClient(
    { apiBase: upstream.apiBase, dispatcher: outgoing.api, log, ...limits },
    runtime,
  )
  const api = client.forEvent(KEY, call => call('token'), { patienceMs: 10 * MINUTE_MS })
  const ended = new AbortController()
  const waits: number[] = []
  const script = async () => {
    while (!ended.signal.aborted) {
      const since = performance.now()
      await Promise.all(Array.from({ length: 5 }, () => api.event()))
      waits.push(performance.now() - since)
      await runtime.sleep(MINUTE_MS, ended.signal).catch(() => {})
    }
  }
  let told = 0
  const webhooks = async () => {
    while (!ended.signal.aborted) {
      const n = (told++ * 61) % COUNT
      list = list.with(n, { ...list[n], application_status: 'rejected' })
      const change = { applicationStatus: 'rejected', type: 'application.rejected' }
      await s.webhook({ participantId: `ptp_${n + 1}`, ...change })
      await runtime.sleep(50, ended.signal).catch(() => {})
    }
  }
  const beside = [script(), webhooks()]

  const first = worker()
  await first.says('ready')
  const begun = performance.now()
  await s.sync.ask(KEY, 'asked')
  await until(async () => ((await s.sync.state(KEY)).open?.pages ?? 0) >= 45, 120_000)
  first.process.kill('SIGKILL')
  const killedAt = performance.now()
  await worker().says('ready')
  const last = await until(async () => (await s.sync.state(KEY)).last, 200_000)
  const leaseMs = 30_000
  const minutes = (performance.now() - begun - Math.min(leaseMs, performance.now() - killedAt)) / MINUTE_MS
  ended.abort()
  await Promise.all(beside)

  expect(last).toMatchObject({ outcome: 'done', counted: COUNT })
  const listed = new Map(list.map(row => [row['id'], row['application_status']]))
  const rows = await s.rows()
  const differing = rows.filter(
    row => row.gone_at !== null || listed.get(row.participant_id) !== row.application_status,
  )
  expect([rows.length, differing]).toEqual([COUNT, []])
  const most = (kind: typeof calls, of: typeof WINDOWS) =>
    of.map(({ lengthMs }) =>
      mostWithin(
        kind.map(({ at }) => at),
        lengthMs,
      ),
    )
  const all = most(calls, WINDOWS)
  const shared = most(
    calls.filter(call => call.shared),
    SHARE,
  )
  console.log({ calls: calls.length, all, shared, minutes, told, longestWaitMs: Math.max(...waits) })
  for (const [found, of] of [
    [all, WINDOWS],
    [shared, SHARE],
  ] as const)
    for (const [i, { limit }] of of.entries()) expect(found[i]).toBeLessThanOrEqual(limit)
  expect(minutes).toBeLessThan(15)
})
