import { randomUUID } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import pg from 'pg'
import { systemRuntime } from '../../src/process/runtime.ts'
import type { Store } from '../../src/storage/database.ts'
import type { DeliveryState } from '../../src/storage/schema.ts'
import { openSqlite } from '../../src/storage/sqlite/database.ts'
import { keysOf } from '../../src/webhooks/inbox/dedupe.ts'

const DELIVERY = `insert into deliveries (id, provider, platform, delivery_id, envelope_id, type, event_id,
  organization_id, received_at, body)
  values (?, 'revento', 'real', ?, ?, 'activity.updated', 'evt_test_published', 'org_test_formal', ?, ?)`
const OUTCOME = `insert into outcomes (id, platform, event_id, organization_id, state, attempts, next_at, started_at,
  finished_at) values (?, 'real', 'evt_test_published', 'org_test_formal', 'done', 1, 0, ?, ?)`

/** Fills a database as if `rows` deliveries had been handled, each with its run and its two dedupe keys. */
export async function seed(
  path: string,
  rows: number,
  bodyBytes: number,
  progress: (text: string) => void,
): Promise<void> {
  await (await openSqlite(path, systemRuntime)).close()
  const database = new DatabaseSync(path)
  // There is no log, and the keys are inserted last and in their order: one by one each would write a page of its own.
  database.exec('pragma journal_mode=off; pragma synchronous=off; pragma cache_size=-200000')
  database.exec('create temp table keys (key text, id integer); begin')
  const [insert, outcome, key] = [DELIVERY, OUTCOME, 'insert into keys (key, id) values (?, ?)'].map(sql =>
    database.prepare(sql),
  )
  const body = Buffer.from(JSON.stringify({ note: 'x'.repeat(bodyBytes) }))
  const start = Date.now() - rows
  for (let id = 1; id <= rows; id++) {
    const [delivery_id, envelope_id, at] = [randomUUID(), `evt_delivery_${randomUUID()}`, start + id]
    insert?.run(id, delivery_id, envelope_id, at, body)
    outcome?.run(id, at, at)
    const keys = keysOf({ provider: 'revento', platform: 'real', delivery_id, envelope_id })
    for (const text of Object.values(keys)) key?.run(text ?? '', id)
    if (id % 100_000 === 0) progress(`${id} of ${rows} deliveries stored`)
  }
  database.exec('insert into delivery_keys (key, inbox_id) select key, id from keys order by key; commit')
  database.exec('pragma journal_mode=wal')
  database.close()
}

export interface EventRows {
  readonly rows: number
  readonly state: DeliveryState
  readonly eventId: string
  readonly organizationId: string
  /** The type; application.approved where it is absent. */
  readonly type?: string
  /** The length of each body; with 0 there are no bodies. */
  readonly bodyBytes: number
  /** The moment at which all of them came, in ms since 1970. */
  readonly receivedAt: number
  readonly progress?: (text: string) => void
}

const AT_ONCE = 50_000

/**
 * Stores many deliveries of one event behind those that are there, in a store that has its tables; 200,000 take about ten
 * seconds. Each body is JSON with a name of its own, "Ada Lovelace N" from N = 1, and each row has one run with an error.
 */
export async function seedEvent(store: Store, o: EventRows): Promise<void> {
  const run = await (store.kind === 'sqlite' ? onSqlite(store.path) : onPostgres(store.url))
  const [ended, waits] = [['done', 'ignored', 'duplicate', 'dead'].includes(o.state), o.state === 'parked']
  const text = (value: string) => `'${value.replaceAll("'", "''")}'`
  for (let from = 1; from <= o.rows; from += AT_ONCE) {
    const to = Math.min(from + AT_ONCE - 1, o.rows)
    const body =
      o.bodyBytes === 0
        ? 'null'
        : run.bytes(
            `'{"name":"Ada Lovelace ' || n || '","note":"${'x'.repeat(Math.max(0, o.bodyBytes - 45))}"}'`,
          )
    await run.exec(`insert into deliveries (provider, platform, envelope_id, type, event_id, organization_id, received_at,
        body)
      select 'revento', 'real', 'evt_seed_' || n, ${text(o.type ?? 'application.approved')}, ${text(o.eventId)},
        ${text(o.organizationId)}, ${o.receivedAt}, ${body}
      from ${run.numbers(from, to)}`)
    const these = `from deliveries where id > (select max(id) from deliveries) - ${to - from + 1}`
    await run.exec(`insert into outcomes (id, platform, event_id, organization_id, state, attempts, next_at, finished_at,
        last_error)
      select id, platform, event_id, organization_id, ${text(o.state)}, ${waits ? 0 : 1}, 0,
        ${ended ? o.receivedAt : 'null'}, ${waits || o.state === 'dead' ? "'connection unavailable'" : 'null'} ${these}`)
    await run.exec(`insert into attempts (inbox_id, started_at, ended_at, attempt, outcome, error)
      select id, ${o.receivedAt}, ${o.receivedAt}, 1, ${text(waits ? 'parked' : 'done')}, 'connection unavailable' ${these}`)
    o.progress?.(`${to} of ${o.rows} deliveries of ${o.eventId} stored`)
  }
  await run.close()
}

async function onSqlite(path: string) {
  const file = new DatabaseSync(path)
  file.exec('pragma synchronous=off')
  return {
    exec: async (sql: string) => file.exec(sql),
    bytes: (sql: string) => `cast(${sql} as blob)`,
    numbers: (from: number, to: number) =>
      `(with recursive r(n) as (select ${from} union all select n + 1 from r where n < ${to}) select n from r) as r`,
    async close() {
      file.exec('pragma wal_checkpoint(truncate)')
      file.close()
    },
  }
}

async function onPostgres(url: string) {
  const client = new pg.Client(url)
  await client.connect()
  await client.query('set synchronous_commit = off')
  return {
    exec: async (sql: string) => void (await client.query(sql)),
    bytes: (sql: string) => `convert_to(${sql}, 'UTF8')`,
    numbers: (from: number, to: number) => `generate_series(${from}, ${to}) as r(n)`,
    async close() {
      await client.query('analyze deliveries; analyze outcomes')
      await client.end()
    },
  }
}
