// part: senders
import { expect, onTestFinished, test } from 'vitest'
import { reseal } from '../../src/keys/reseal.ts'
import { createSealer } from '../../src/keys/sealing.ts'
import { systemRuntime } from '../../src/process/runtime.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { createDeliveries } from '../../src/webhooks/inbox/deliveries.ts'
import { startApp } from '../helpers/app.ts'
import { createClient, stateOf } from '../helpers/client.ts'
import { testStore } from '../helpers/database.ts'
import { testRuntime } from '../helpers/runtime.ts'
import { countingRows } from '../helpers/statements.ts'
import { json, startUpstream, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { ORGANIZATION, seedLarge } from './large-data.ts'

const ROWS = 600
/** The largest batch of all: waking uses it, and so does the ending of what ends by itself. */
const MOST = 500
const HOUR = 3_600_000
const PATIENCE_MS = 60_000

/** The app over a database with many rows of everything; `beyond` are the statements that took more than they may. */
async function start() {
  const { store, url } = await testStore()
  const own = await openDatabase(store, systemRuntime)
  await seedLarge(own.query, store, ROWS)
  const beyond = new Map<string, number>()
  const countRows = (statement: string, rows: number) => {
    if (rows > MOST) beyond.set(statement, Math.max(rows, beyond.get(statement) ?? 0))
  }
  const upstream = await startUpstream()
  const runtime = testRuntime()
  const app = await startApp({
    databaseUrl: url,
    runtime,
    authBase: upstream.authBase,
    apiBase: upstream.apiBase,
    env: { PAYLOAD_DAYS: '5', WEBHOOK_VERIFY_TOKEN: 'a-token-for-the-handshake' },
    countRows,
    handlers: { revento: { 'activity.updated': async () => {} } },
  })
  onTestFinished(async () => {
    await app.close()
    await upstream.close()
    await own.close()
  })
  const count = async (table: 'inbox' | 'connections' | 'participants', where: Record<string, string>) => {
    let rows = own.query.selectFrom(table).select(eb => eb.fn.countAll<number>().as('n'))
    for (const [column, value] of Object.entries(where)) rows = rows.where(column as 'event_id', '=', value)
    return Number((await rows.executeTakeFirstOrThrow()).n)
  }
  const send = async (event: Record<string, unknown>) => {
    const occurred_at = new Date(runtime.now()).toISOString()
    const { body, headers } = signedDelivery({ at: runtime.now(), event: { ...event, occurred_at } })
    expect((await client.post(`${app.url}/webhooks/revento`, body, headers)).status).toBe(200)
  }
  const client = createClient()
  return { ...{ app, own, store, upstream, runtime, client, beyond, countRows }, count, send }
}

test('no statement changes or gives more rows than a batch has, whatever is stored', {
  timeout: 120_000,
}, async () => {
  const { app, own, upstream, runtime, client, beyond, countRows, count, send } = await start()
  const query = own.query
  const eventually = (isSo: () => Promise<boolean>) => until(isSo, PATIENCE_MS)

  // Times that no clock of now can have noted are mended at the start.
  const ahead = query
    .selectFrom('inbox')
    .select('id')
    .where('next_at', '>', runtime.now() + 4 * HOUR)
    .limit(1)
  await eventually(async () => (await ahead.execute()).length === 0)

  // A reconnect wakes what is parked, and ends the oldest of too many sessions.
  upstream.onToken = json(200, tokens())
  const state = stateOf(await client.get(`${app.url}/connect?event_id=evt_test_published`))
  expect((await client.get(`${app.url}/callback?code=c&state=${state}`)).status).toBe(200)
  await eventually(
    async () => (await count('inbox', { event_id: 'evt_test_published', state: 'done' })) === ROWS,
  )

  // What people see.
  expect((await client.get(`${app.url}/`, { accept: 'text/html' })).status).toBe(200)
  expect((await client.get(`${app.url}/deliveries`)).status).toBe(200)
  expect(
    (await client.get(`${app.url}/webhooks/handshake?verify_token=a-token-for-the-handshake`)).status,
  ).toBe(200)

  // An erasure.
  await send({ type: 'data.deletion_required', event_id: 'evt_erased', organization_id: ORGANIZATION })
  await eventually(async () => (await count('inbox', { event_id: 'evt_erased', state: 'ignored' })) === ROWS)
  expect(await count('participants', {})).toBe(0)

  // A suspension of all, found to be over a while later by a call.
  await send({ type: 'integration.suspended', event_id: 'evt_1', organization_id: ORGANIZATION })
  await eventually(async () => (await count('connections', { state: 'connected' })) === 0)
  await eventually(async () => {
    runtime.pass(60_000)
    return (await count('connections', { state: 'suspended' })) === 0
  })

  // What ends by age.
  await eventually(async () => {
    runtime.pass(HOUR / 4)
    return (await count('inbox', { event_id: 'evt_ended' })) === 0
  })
  await eventually(async () => (await count('inbox', { event_id: 'evt_left', state: 'dead' })) === ROWS)

  // A new key.
  const sealer = createSealer({ current: Buffer.alloc(32, 8), previous: Buffer.alloc(32, 7) }, runtime)
  const watched = countingRows(own, countRows)
  const left = await reseal({
    query: watched.query,
    sealer,
    runtime: systemRuntime,
    log: { warn() {}, error() {} },
    progress() {},
  })
  expect([...left.values()]).toEqual([])

  // What the operator asks.
  const deliveries = createDeliveries(watched.query)
  const [dead] = await deliveries.list({ state: 'dead' }, 1)
  expect(await deliveries.replay(dead?.id ?? '', 'operator', Date.now())).toBe('replayed')
  expect((await deliveries.find(dead?.id ?? '', 'operator'))?.runs.length).toBeGreaterThan(0)

  expect([...beyond]).toEqual([])
})
