import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sql } from 'kysely'
import type { Filter } from '../../../src/operator/filter.ts'
import { readOverview } from '../../../src/operator/overview.ts'
import { createInboxQueries } from '../../../src/operator/queries.ts'
import { createReplays } from '../../../src/operator/replays.ts'
import { createRollups } from '../../../src/operator/rollups.ts'
import { systemRuntime as runtime } from '../../../src/process/runtime.ts'
import { createSteadyClock } from '../../../src/process/trusted-time.ts'
import type { Queries, Store } from '../../../src/storage/database.ts'
import { openDatabase } from '../../../src/storage/open.ts'
import { isPostgres } from '../../../src/storage/sql.ts'
import { oldestWaitMs } from '../../../src/webhooks/inbox/backlog.ts'
import { createDeliveries } from '../../../src/webhooks/inbox/deliveries.ts'
import { startPostgres } from '../../helpers/postgres.ts'

const HELP = `Usage: node test/lab/bench/operator.ts [--rows N] [--postgres] [--rounds N]

Fills an empty store with a million deliveries, and measures what the operator's pages ask of it: the slowest of the
rounds and their median in ms, and for how long the event loop stood still at most. Exits with 1 where a figure is over
its limit. --postgres: in a PostgreSQL of its own instead of SQLite.
`
const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    postgres: { type: 'boolean' },
    rounds: { type: 'string', default: '9' },
    help: { type: 'boolean' },
  },
})

const DAY_MS = 86_400_000
const START = Date.now() - 10 * DAY_MS
const BATCH = 2_000

/** Mostly handled ones; a rare sender, type and state each lie far back. */
const rowOf = (n: number, rows: number) => {
  const state = n % 500 === 0 ? 'dead' : n % 97 === 0 ? 'duplicate' : n === 41 ? 'ignored' : 'done'
  const provider = n === 40 ? 'entrupy' : n % 10 === 0 ? 'barker' : 'revento'
  const type = n === 42 ? 'event.cancelled' : `type.of_${n % 20}`
  return {
    ...{ provider, platform: 'real', delivery_id: crypto.randomUUID(), envelope_id: `env_${n}`, type },
    ...{ event_id: n === 43 ? 'evt_rare' : `evt_${n % 1_000}`, organization_id: 'org_1', state, attempts: 1 },
    received_at: START + Math.floor((n / rows) * 10 * DAY_MS),
    last_error: state === 'dead' ? `TypeError at src/integration/handlers/index.ts:${n % 3}` : null,
    body: JSON.stringify({ data: { participant_id: `ptp_${n}`, note: 'x'.repeat(700) } }),
  }
}

async function fill(query: Queries, rows: number): Promise<void> {
  for (let from = 0; from < rows; from += BATCH) {
    const batch = Array.from({ length: Math.min(BATCH, rows - from) }, (_, n) => rowOf(from + n, rows))
    const json = JSON.stringify(Object.fromEntries(batch.entries()))
    const bytes = isPostgres(query)
      ? sql`convert_to(r.value ->> 'body', 'UTF8')`
      : sql`cast(r.value ->> 'body' as blob)`
    const bigint = (name: string) => sql`cast(r.value ->> ${sql.lit(name)} as bigint)`
    const text = (name: string) => sql`r.value ->> ${sql.lit(name)}`
    const id = sql`cast(r.key as bigint) + ${from + 1}`
    const keys = sql`${text('platform')}, ${text('event_id')}, ${text('organization_id')}`
    await sql`insert into deliveries (id, platform, event_id, organization_id, provider, delivery_id, envelope_id, type,
      received_at, body)
      select ${id}, ${keys}, ${text('provider')}, ${text('delivery_id')}, ${text('envelope_id')}, ${text('type')},
        ${bigint('received_at')}, ${bytes} from json_each(${json}) as r`.execute(query)
    await sql`insert into outcomes (id, platform, event_id, organization_id, state, attempts, next_at, finished_at,
      last_error)
      select ${id}, ${keys}, ${text('state')}, 1, 0, ${bigint('received_at')} + 40, ${text('last_error')}
      from json_each(${json}) as r`.execute(query)
  }
  const minutes = Array.from({ length: 2 * 1_440 }, (_, n) => Date.now() - (Date.now() % 60_000) - n * 60_000)
  for (const name of ['received', 'done', 'dead', 'duplicate', 'wait_1', 'wait_2', 'wait_5'])
    for (let n = 0; n < minutes.length; n += 500)
      await query
        .insertInto('rollups')
        .values(minutes.slice(n, n + 500).map(minute_at => ({ platform: 'real', minute_at, name, n: 70 })))
        .execute()
  if (isPostgres(query)) await sql`analyze deliveries, outcomes`.execute(query)
}

/** How late a timer of 2 ms fires while `work` runs: what a webhook would wait. */
async function standstill<T>(work: () => Promise<T>): Promise<{ ms: number; still: number }> {
  const begun = performance.now()
  let [last, still] = [begun, 0]
  const timer = setInterval(() => {
    const now = performance.now()
    still = Math.max(still, now - last - 2)
    last = now
  }, 2)
  await work()
  clearInterval(timer)
  return { ms: performance.now() - begun, still: Math.max(still, performance.now() - last - 2) }
}

async function measure(store: Store, rows: number, rounds: number): Promise<boolean> {
  const database = await openDatabase(store, runtime)
  const { query } = database
  await fill(query, rows)
  const clock = createSteadyClock(runtime)
  const inbox = createInboxQueries(query, 'real', runtime)
  const rollups = createRollups(query, 'real', { clock, log: console }, runtime)
  const replays = createReplays(query, { platform: 'real', inbox }, runtime)
  const deliveries = createDeliveries(query)
  const handling = { stalledMs: () => 0, waiting: () => 0 }
  const overview = {
    ...({ query, platform: 'real', inbox, rollups, replays, handling } as const),
    trouble: async () => undefined,
    oldestMs: () => oldestWaitMs(query, runtime.now()),
    keyChanges: async () => [],
  }
  const list = (filter: Filter) => () => inbox.list(filter, 50)
  const middle = START + 5 * DAY_MS
  const asks: [string, number, () => Promise<unknown>][] = [
    ['overview', 100, () => readOverview(overview, runtime)],
    ['newest', 150, list({})],
    ...(['done', 'dead', 'ignored', 'duplicate', 'parked', 'pending'] as const).map(
      (state): [string, number, () => Promise<unknown>] => [`state ${state}`, 150, list({ state })],
    ),
    ['sender barker', 150, list({ provider: 'barker' })],
    ['sender entrupy, one far back', 150, list({ provider: 'entrupy' })],
    ['event', 150, list({ event_id: 'evt_7' })],
    ['event, one far back', 150, list({ event_id: 'evt_rare' })],
    ['since five days ago', 150, list({ since: middle })],
    ['until five days ago', 150, list({ until: middle })],
    ['page in the middle', 150, () => inbox.list({}, 50, Math.floor(rows / 2))],
    ['number', 150, () => deliveries.find(String(Math.floor(rows / 2)), 'operator')],
    ['sender’s id, unknown', 150, () => deliveries.locate('nobody', ['revento', 'barker'], 'keys')],
    ['type', 500, list({ type: 'type.of_7' })],
    ['type, one far back', 500, list({ type: 'event.cancelled' })],
    [
      'dead of a type since a day',
      500,
      list({ state: 'dead', type: 'type.of_0', since: Date.now() - DAY_MS }),
    ],
    ['count of a replay', 500, () => inbox.countReplayable({ state: 'dead', type: 'type.of_0' })],
  ]
  let isFast = true
  process.stdout.write(`${store.kind}, ${rows} deliveries\n`)
  for (const [name, limit, ask] of asks) {
    const seen = []
    for (let n = 0; n < rounds; n++) seen.push(await standstill(ask))
    const ms = seen.map(one => one.ms).toSorted((a, b) => a - b)
    const [worst, median] = [ms.at(-1) ?? 0, ms[Math.floor(ms.length / 2)] ?? 0]
    const still = Math.max(...seen.map(one => one.still))
    if (median > limit) isFast = false
    process.stdout.write(
      `${name.padEnd(32)} median ${median.toFixed(1).padStart(7)}  most ${worst.toFixed(1).padStart(7)}  still ${still.toFixed(1).padStart(6)}  limit ${limit}\n`,
    )
  }
  await database.close()
  return isFast
}

if (values.help) process.stdout.write(HELP)
else {
  const folder = mkdtempSync(join(tmpdir(), 'operator-'))
  const server = values.postgres ? await startPostgres() : undefined
  const store: Store = server
    ? { kind: 'postgres', url: server.url }
    : { kind: 'sqlite', path: join(folder, 'million.db') }
  const isFast = await measure(store, Number(values.rows), Number(values.rounds))
  await server?.stop()
  rmSync(folder, { recursive: true })
  if (!isFast) process.exitCode = 1
}
