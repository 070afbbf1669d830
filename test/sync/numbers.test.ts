import { expect, onTestFinished, test } from 'vitest'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { type ApiClient, createApiClient } from '../../src/revento/api.ts'
import { createOutgoing } from '../../src/revento/http.ts'
import { createBudgets } from '../../src/storage/api-budgets.ts'
import { rounds } from '../helpers/rounds.ts'
import { json, startUpstream } from '../helpers/upstream.ts'
import { mostWithin } from '../revento/api-harness.ts'
import { KEY, people, startMirror } from './stage.ts'

/** Revento's windows, and the share of them, in a time that a test has: a minute takes this long. */
const MINUTE_MS = 400
const WINDOWS = [
  { limit: 30, lengthMs: MINUTE_MS },
  { limit: 500, lengthMs: 60 * MINUTE_MS },
]
const SHARE = [
  { limit: 20, lengthMs: MINUTE_MS },
  { limit: 300, lengthMs: 60 * MINUTE_MS },
]
/** What is asked of us are 10,000: ROUNDS=10 tries them. */
const COUNT = Math.min(10_000, rounds(1_000))

test('two instances and a script compare a large event within the limits, while webhooks come and one is stopped', {
  timeout: 120_000,
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
  const first = await startMirror({ share: SHARE, clientOn: client })
  const second = await startMirror({ share: SHARE, clientOn: client, database: first.database })
  await first.connect()

  function client(query: Parameters<typeof createBudgets>[0]): ApiClient {
    const outgoing = createOutgoing()
    onTestFinished(() => outgoing.close())
    const log = { info() {}, warn() {}, error() {} }
    const budgets = createBudgets(query, 'real')
    const made = { apiBase: upstream.apiBase, dispatcher: outgoing.api, log, budgets, windows: WINDOWS }
    return createApiClient(made, runtime)
  }

  const ended = new AbortController()
  const waits: number[] = []
  const script = async () => {
    const api = client(first.query).forEvent(KEY, call => call('token'), { patienceMs: 60_000 })
    while (!ended.signal.aborted) {
      const since = performance.now()
      await Promise.all([api.event(), api.event(), api.event(), api.event(), api.event()])
      waits.push(performance.now() - since)
      await runtime.sleep(MINUTE_MS, ended.signal).catch(() => {})
    }
  }
  let sent = 0
  const webhooks = async () => {
    while (!ended.signal.aborted) {
      const n = 1 + ((sent * 61) % COUNT)
      sent += 1
      list = list.map(row => (row['id'] === `ptp_${n}` ? { ...row, application_status: 'rejected' } : row))
      await first.webhook({
        participantId: `ptp_${n}`,
        applicationStatus: 'rejected',
        type: 'application.rejected',
      })
      await runtime.sleep(50, ended.signal).catch(() => {})
    }
  }
  const beside = [script(), webhooks()]
  const stopping = new AbortController()
  const begun = performance.now()
  await first.sync.ask(KEY, 'asked')
  await first.sync.worker.take(stopping.signal)
  setTimeout(() => stopping.abort(), MINUTE_MS)
  await first.sync.worker.settled()
  const cut = (await first.sync.state(KEY)).open
  await second.compare()
  const minutes = (performance.now() - begun) / MINUTE_MS
  ended.abort()
  await Promise.all(beside)

  const { last } = await first.sync.state(KEY)
  expect([cut?.outcome, last?.outcome, last?.counted]).toEqual([null, 'done', COUNT])
  const rows = await first.rows()
  const differences = rows.filter((row, n) => {
    const id = row.participant_id
    const listed = list.find(one => one['id'] === id)
    return n >= COUNT || listed?.['application_status'] !== row.application_status || row.gone_at !== null
  })
  expect([rows.length, differences]).toEqual([COUNT, []])
  for (const [kind, windows] of [
    [calls.filter(({ shared }) => shared), SHARE],
    [calls, WINDOWS],
  ] as const)
    for (const { limit, lengthMs } of windows)
      expect(
        mostWithin(
          kind.map(({ at }) => at),
          lengthMs,
        ),
      ).toBeLessThanOrEqual(limit)
  console.log({
    COUNT,
    calls: calls.length,
    minutes,
    webhooks: sent,
    longest: Math.max(...waits) / MINUTE_MS,
  })
})
