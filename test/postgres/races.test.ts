import { sql } from 'kysely'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { createSealer } from '../../src/keys/sealing.ts'
import { createConnections } from '../../src/oauth/connections.ts'
import { createSessions } from '../../src/oauth/sessions.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { createSteadyClock } from '../../src/process/trusted-time.ts'
import type { Queries } from '../../src/storage/database.ts'
import { claim } from '../../src/webhooks/inbox/claim.ts'
import { watchRetention } from '../../src/webhooks/inbox/retention.ts'
import { createSettler } from '../../src/webhooks/inbox/settle.ts'
import { testDatabase } from '../helpers/database.ts'
import { insertDelivery } from '../helpers/deliveries.ts'
import { erase } from '../helpers/erase.ts'
import { rounds } from '../helpers/rounds.ts'
import { tokenSet } from '../helpers/sealed.ts'
import { until } from '../helpers/wait.ts'

/** What PostgreSQL lets come between two statements of a transaction, put there on purpose. */

const EVENT = 'evt_1'
const OWNER = 'this instance'

/** Holds what this statement locks until it is called. */
async function holding(url: string, statement: string): Promise<() => Promise<void>> {
  const client = new pg.Client(url)
  await client.connect()
  await client.query(`begin; ${statement}`)
  return () => client.end()
}

const somebodyWaits = (query: Queries) =>
  until(async () => {
    const { rows } = await sql`select 1 from pg_stat_activity
      where datname = current_database() and wait_event_type = 'Lock'`.execute(query)
    return rows.length > 0
  })

const arrive = (query: Queries, type: string) =>
  insertDelivery(query, {
    ...{ envelope_id: `envelope ${type}`, type, event_id: EVENT, organization_id: 'org_1' },
    ...{ state: 'pending', attempts: 0, received_at: Date.now(), body: Buffer.from('{"name":"Ada"}') },
  })

const claimAll = (query: Queries) =>
  claim(query, {
    ...{ owner: OWNER, platform: 'real', limit: 10, running: 0, held: [], leaseMs: 30_000 },
    ...{ maxAttempts: 8, now: Date.now() },
    ends: { after: 0, now: Date.now(), latest: Number.MAX_SAFE_INTEGER },
    hasHandler: (_provider, type) => type === 'handled',
  })

test('an instance that locks what it claims, as up to 064, claims nothing together with this one', async () => {
  const { query, url } = await testDatabase()
  const id = await arrive(query, 'handled')
  const client = new pg.Client(url)
  await client.connect()
  await client.query(`begin; select id from outcomes where next_at = 0 for update skip locked;
    select pg_advisory_xact_lock(hashtextextended('delivery keys', 0));
    update outcomes set state = 'running', attempts = 1, lease_owner = 'older', next_at = ${Date.now() + 60_000}
    where id = ${id}`)
  const claiming = claimAll(query)
  await somebodyWaits(query)
  await client.query('commit')
  await client.end()
  expect((await claiming).claimed).toEqual([])
})

test('what arrives and is claimed while its event is being marked as erased keeps no body', async () => {
  const { query, url } = await testDatabase()
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, runtime)
  const o = { log: { error() {}, warn() {} }, platform: 'real' } as const
  await createConnections(query, sealer, runtime, o).save(tokenSet(1))
  const letGo = await holding(url, 'select 1 from connections for update')
  // It has written its row, which nobody sees yet, and waits before its end.
  const erasing = erase(query, runtime, { eventId: EVENT })
  await somebodyWaits(query)
  await arrive(query, 'handled')
  await arrive(query, 'without a handler')
  const { claimed, ignored } = await claimAll(query)
  expect([claimed.length, ignored.length]).toEqual([1, 1])
  await letGo()
  await erasing
  const settler = createSettler(query, OWNER, runtime)
  for (const delivery of claimed) await settler.settle({ delivery, outcome: { state: 'done' } })
  const rows = await query
    .selectFrom('inbox')
    .select(['type', 'state', 'body'])
    .where('type', '<>', 'data.deletion_required')
    .orderBy('id')
    .execute()
  expect(rows).toEqual([
    { type: 'handled', state: 'done', body: null },
    { type: 'without a handler', state: 'ignored', body: null },
  ])
})

test('two claims at once: each delivery is claimed by one, and of two copies one is the duplicate', async () => {
  const { query } = await testDatabase()
  for (let round = 0; round < rounds(12); round++) {
    const copy = { envelope_id: `evt_${round}`, type: 'handled', state: 'pending', attempts: 0 } as const
    for (const body of ['{}', '{"again":1}'])
      await insertDelivery(query, { ...copy, body: Buffer.from(body) })
    const results = await Promise.all([claimAll(query), claimAll(query)])
    expect(results.flatMap(({ claimed }) => claimed)).toHaveLength(1)
    expect(results.flatMap(({ duplicates }) => duplicates)).toHaveLength(1)
  }
})

test('what an erasure, or the operator, ends while it is being claimed stays ended, and nobody runs it', async () => {
  const { query, url } = await testDatabase()
  for (const type of ['handled', 'without a handler']) await arrive(query, type)
  const client = new pg.Client(url)
  await client.connect()
  await client.query(`begin; update outcomes set state = 'dead', last_error = 'given up'`)
  const claiming = claimAll(query)
  await somebodyWaits(query)
  await client.query('commit')
  await client.end()
  expect((await claiming).claimed).toEqual([])
  const rows = await query.selectFrom('outcomes').select(['state', 'last_error']).execute()
  expect(rows).toEqual(Array(2).fill({ state: 'dead', last_error: 'given up' }))
})

test('a logout beside a callback that was under way: both end, each time', async () => {
  const { query } = await testDatabase()
  const sessions = createSessions(query, runtime, runtime, {
    cookiePrefix: '',
    cookie: {},
    platform: 'real',
  })
  const browser = (cookie?: string) => {
    const set: string[] = []
    const reply = { setCookie: (_name: string, value: string) => void set.push(value), clearCookie() {} }
    const request = { cookies: cookie === undefined ? {} : { revento_session: cookie } }
    const grant = (n: number) =>
      sessions.grant(request as never, reply as never, { eventId: `evt_${n}`, organizationId: 'org' })
    return { set, grant, reply, request }
  }
  for (let round = 0; round < rounds(20); round++) {
    const first = browser()
    await first.grant(1)
    const second = browser(first.set[0])
    await second.grant(2)
    const now = await sessions.read(browser(second.set[0]).request as never)
    if (!now) throw new Error('no session')
    await Promise.all([browser(first.set[0]).grant(3), sessions.end(now, second.reply as never)])
    expect(await sessions.read(browser(second.set[0]).request as never)).toBeUndefined()
  }
})

test('what arrives while old deliveries are being removed is claimed in its order', async () => {
  const { query, url } = await testDatabase()
  await arrive(query, 'old')
  await query.updateTable('outcomes').set({ state: 'done', finished_at: 1 }).execute()
  await query.updateTable('deliveries').set({ received_at: 1 }).execute()
  for (const type of ['handled', 'handled', 'handled']) await arrive(query, type)
  const letGo = await holding(url, 'lock table attempts in exclusive mode')
  const stop = new AbortController()
  onTestFinished(() => stop.abort())
  const log = { info() {}, warn() {}, error() {} }
  const clock = { ...createSteadyClock(runtime), oldBefore: (ms: number) => runtime.now() - ms }
  const swept = watchRetention(
    { query, days: 30, payloadDays: 30, clock, aged: [], log },
    runtime,
    stop.signal,
  )
  await somebodyWaits(query)
  const { claimed, duplicates } = await claimAll(query)
  await letGo()
  expect([claimed.map(({ id }) => id), duplicates.map(({ id }) => id)]).toEqual([[2], [3, 4]])
  await until(async () => (await query.selectFrom('inbox').select('id').execute()).length === 3)
  stop.abort()
  await swept
})
