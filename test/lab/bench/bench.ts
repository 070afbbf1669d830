import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { startPostgres } from '../../helpers/postgres.ts'
import { seed } from '../../helpers/seed.ts'
import type { LoadResult } from './load.ts'
import { runLoad, SECRET, type Server, startApp, startPeer } from './processes.ts'
import { type BenchStore, countOf, postgresStore, sqliteStore } from './stores.ts'

const HELP = `Usage: npm run bench -- [--seconds N] [--rounds N] [--rows N] [--body N] [--delay MS] [--json]

Measures POST /webhooks/revento of the real program, with storage, deduplication, handlers and its log, and in the same
run what others do with the same deliveries without storing them: bare Fastify, the Express quickstart, bare node:http.
64 connections, bodies of about 800 bytes, random ids. The servers take turns, N rounds (3) of N seconds (4) each;
ratios are medians over the rounds. Then once more on a database of N deliveries (1000000) with bodies of N bytes (780);
ten million fit a disk with --body 50. With --delay PostgreSQL is that far away, in whole milliseconds there and back.
"stall" is the longest that /health took, asked every 20 ms. Stops by itself after about three minutes. Close other
programs first: server and load share the cores, and the load needs one of its own.
`

/** A handler that only logs; the intake shares its process with it, as in production. */
const TYPE = 'activity.updated'
const CONNECTIONS = 64

interface Measured extends LoadResult {
  readonly mb: number
  readonly stallMs: number
}
interface AppMeasured extends Measured {
  /** Handlers' ends a second, from the first delivery until the last one is handled. */
  readonly handledPerSecond: number
  readonly startMs: number
  /** That PostgreSQL wrote to its log for each delivery, from end to end; 0 on SQLite. */
  readonly walBytes: number
}

const options = {
  seconds: { type: 'string', default: '4' },
  rounds: { type: 'string', default: '3' },
  rows: { type: 'string', default: '1000000' },
  body: { type: 'string', default: '780' },
  delay: { type: 'string', default: '0' },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h' },
} as const

const progress = (text: string) => process.stderr.write(`${text}\n`)

async function measure(server: Server, seconds: number): Promise<Measured> {
  const load = { url: server.url, secret: SECRET, type: TYPE, connections: CONNECTIONS, seconds }
  await runLoad({ ...load, seconds: 1 })
  const stall = watchStall(server.url)
  const result = await runLoad(load)
  const stallMs = await stall()
  if (result.refused > 0) throw new Error(`${result.refused} deliveries were not answered 200`)
  return { ...result, mb: server.peakMb(), stallMs }
}

/** The load's own latencies hold the wait for a commit; an answer that needs none tells of the event loop alone. */
function watchStall(url: string): () => Promise<number> {
  const health = new URL('/health', url)
  let [longest, stopped] = [0, false]
  const watching = (async () => {
    while (!stopped) {
      const begun = performance.now()
      await (await fetch(health)).text()
      longest = Math.max(longest, performance.now() - begun)
      await delay(20)
    }
  })()
  return async () => {
    stopped = true
    await watching
    return Math.round(longest)
  }
}

async function measurePeer(kind: string, folder: string, seconds: number): Promise<Measured> {
  const server = await startPeer(kind, folder)
  const result = await measure(server, seconds)
  await server.stop()
  return result
}

async function measureApp(
  folder: string,
  seconds: number,
  store: BenchStore = sqliteStore(folder),
): Promise<AppMeasured> {
  const server = await startApp(folder, store.env)
  const before = await countOf(store, `'done'`)
  const walBefore = await store.walBytes()
  const begun = performance.now()
  const result = await measure(server, seconds)
  while ((await countOf(store, `'pending', 'running'`)) > 0) await delay(50)
  const handled = (await countOf(store, `'done'`)) - before
  const handledPerSecond = Math.round(handled / ((performance.now() - begun) / 1000))
  const walBytes = Math.round(((await store.walBytes()) - walBefore) / handled)
  await server.stop()
  await store.close()
  return { ...result, handledPerSecond, startMs: server.startMs, walBytes }
}

const median = (list: number[]) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0

async function main(): Promise<void> {
  const { values } = parseArgs({ options })
  if (values.help) {
    console.log(HELP)
    return
  }
  const { seconds, rounds, rows, body, delay: delayMs } = numbersOf(values)
  const folder = mkdtempSync(join(tmpdir(), 'revento-bench-'))
  const given = process.env['TEST_DATABASE_URL']
  const server = given ? { url: given, stop: async () => {} } : await startPostgres({ durable: true })
  try {
    report(await run(folder, { postgres: server.url, seconds, rounds, rows, body, delayMs }), values.json)
  } finally {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

function numbersOf(values: Record<'seconds' | 'rounds' | 'rows' | 'body' | 'delay', string>) {
  const number = (name: keyof typeof values, least: number) => {
    const n = Number(values[name])
    if (Number.isInteger(n) && n >= least) return n
    throw new Error(`--${name} takes a whole number from ${least}. Try: npm run bench -- --help`)
  }
  const [seconds, rounds, rows] = [number('seconds', 1), number('rounds', 1), number('rows', 1)]
  return { seconds, rounds, rows, body: number('body', 1), delay: number('delay', 0) }
}

interface Plan {
  readonly postgres: string
  readonly seconds: number
  readonly rounds: number
  readonly rows: number
  readonly body: number
  readonly delayMs: number
}

async function run(folder: string, { postgres, seconds, rounds, rows, body, delayMs }: Plan) {
  const peers: Record<string, Measured[]> = { fastify: [], express: [], http: [] }
  const app: AppMeasured[] = []
  const full: AppMeasured[] = []
  const onPostgres: AppMeasured[] = []
  const inFolder = (name: string) => mkdtempSync(join(folder, name))
  for (let round = 1; round <= rounds; round++) {
    for (const [kind, list] of Object.entries(peers)) {
      progress(`round ${round} of ${rounds}: ${kind}`)
      list.push(await measurePeer(kind, folder, seconds))
    }
    progress(`round ${round} of ${rounds}: this app`)
    app.push(await measureApp(inFolder('app-'), seconds))
    progress(`round ${round} of ${rounds}: this app on PostgreSQL`)
    onPostgres.push(await measureApp(inFolder('app-'), seconds, await postgresStore(postgres, delayMs)))
  }
  const stored = inFolder('full-')
  await seed(join(stored, 'bench.db'), rows, body, progress)
  for (let round = 1; round <= rounds; round++) {
    progress(`round ${round} of ${rounds}: this app, empty and with ${rows} deliveries stored`)
    app.push(await measureApp(inFolder('app-'), seconds))
    full.push(await measureApp(stored, seconds))
  }
  return { peers, app, full, onPostgres, rounds, rows, delayMs }
}

type Results = Awaited<ReturnType<typeof run>>

function report({ peers, app, full, onPostgres, rounds, rows, delayMs }: Results, json: boolean): void {
  const beside = app.slice(0, rounds)
  const empty = app.slice(rounds)
  const ratio = (ours: Measured[], theirs: Measured[] = []) =>
    Math.round(median(ours.map((mine, i) => mine.rps / (theirs[i]?.rps ?? 1))) * 100) / 100
  const summary = (list: Measured[]) => ({
    rps: median(list.map(m => m.rps)),
    p50: median(list.map(m => m.p50)),
    p99: median(list.map(m => m.p99)),
    mb: Math.max(...list.map(m => m.mb)),
    stall: Math.max(...list.map(m => m.stallMs)),
  })
  const ratios = {
    'to bare Fastify, verify only (at least 0.70)': ratio(beside, peers['fastify']),
    'to the Express quickstart (at least 1.1)': ratio(beside, peers['express']),
    'to bare node:http': ratio(beside, peers['http']),
    [`with ${rows} deliveries stored, to empty (at least 0.90)`]: ratio(full, empty),
    [`on PostgreSQL${delayMs > 0 ? ` ${delayMs} ms away` : ''}, to SQLite`]: ratio(onPostgres, beside),
  }
  const servers = {
    'bare Fastify': summary(peers['fastify'] ?? []),
    'Express quickstart': summary(peers['express'] ?? []),
    'bare node:http': summary(peers['http'] ?? []),
    'this app': summary(app),
    [`this app, ${rows} stored`]: summary(full),
    'this app on PostgreSQL': summary(onPostgres),
  }
  const handled = (list: AppMeasured[]) => median(list.map(m => m.handledPerSecond))
  const [handledPerSecond, handledOnPostgres] = [handled(app), handled(onPostgres)]
  const startMs = median(app.map(m => m.startMs))
  const startFullMs = median(full.map(m => m.startMs))
  const walBytes = median(onPostgres.map(m => m.walBytes))
  if (json) {
    const figures = { handledPerSecond, handledOnPostgres, startMs, startFullMs, walBytes }
    console.log(JSON.stringify({ servers, ratios, ...figures }))
    return
  }
  console.table(servers)
  console.table(ratios)
  console.log(`handled from end to end: ${handledPerSecond} a second, on PostgreSQL ${handledOnPostgres}`)
  console.log(`start to ready: ${startMs} ms, with ${rows} deliveries stored ${startFullMs} ms`)
  console.log(`PostgreSQL's log: ${walBytes} bytes a delivery, from end to end`)
}

await main().catch(error => {
  console.error(error instanceof Error ? error.message : String(error))
  process.exitCode = 1
})
