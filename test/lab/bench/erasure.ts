import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backup, DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { systemRuntime } from '../../../src/process/runtime.ts'
import type { Store } from '../../../src/storage/database.ts'
import { openDatabase } from '../../../src/storage/open.ts'
import { startPostgres } from '../../helpers/postgres.ts'
import { seedEvent } from '../../helpers/seed.ts'
import { signedDelivery } from '../../helpers/webhook.ts'
import { SECRET, startApp } from './processes.ts'
import { type BenchStore, postgresStore, sqliteStore } from './stores.ts'

/**
 * node test/lab/bench/erasure.ts [ROWS] [sqlite|postgres]: that many handled deliveries of one event, a million by default;
 * its data.deletion_required arrives while webhooks of another event do, and the app is killed once on the way. Prints
 * how long it took, how the others were answered, how long the event loop was held, and what is left; of SQLite also
 * when its file and its log held none of the names any more, and what a backup made then holds.
 */
const [rows = '1000000', only] = process.argv.slice(2)
const GONE = { eventId: 'evt_test_published', organizationId: 'org_test_formal' }
const ENDING = {
  type: 'data.deletion_required',
  event_id: GONE.eventId,
  organization_id: GONE.organizationId,
}
const ANOTHER = { type: 'activity.updated', event_id: 'evt_another', organization_id: 'org_another' }
/** Loaded into the app: how long its event loop was held, and for how much of that it had the processor. */
const WATCH = `import { writeFileSync } from 'node:fs'
let due = performance.now() + 10, cpu = process.threadCpuUsage(), held = 0, busy = 0
setInterval(() => {
  const used = process.threadCpuUsage(cpu)
  held = Math.max(held, performance.now() - due)
  busy = Math.max(busy, (used.user + used.system) / 1000)
  ;[due, cpu] = [performance.now() + 10, process.threadCpuUsage()]
}, 10).unref()
setTimeout(() => { held = busy = 0 }, 5_000).unref()
setInterval(() => writeFileSync('loop.json', JSON.stringify({ held, busy })), 500).unref()`

/** Lines of this file that hold one of the names that were stored. */
const namesIn = (path: string) =>
  Number(spawnSync('grep', ['-caF', 'Ada Lovelace', path], { encoding: 'utf8' }).stdout)

/** When neither the file nor its log holds a name any more, and what they and a backup hold then. */
async function untilGone(path: string, folder: string) {
  const begun = performance.now()
  while (namesIn(path) + namesIn(`${path}-wal`) > 0 && performance.now() - begun < 120_000) await delay(500)
  const goneS = (performance.now() - begun) / 1000
  const copy = join(folder, 'copy.db')
  const source = new DatabaseSync(path, { readOnly: true })
  await backup(source, copy)
  source.close()
  return { goneS, inFile: namesIn(path), inLog: namesIn(`${path}-wal`), inBackup: namesIn(copy) }
}

const say = (text: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`)

async function measure(store: Store, bench: BenchStore, folder: string) {
  await (await openDatabase(store, systemRuntime)).close()
  const seeding = { rows: Number(rows), state: 'done', bodyBytes: 800, receivedAt: Date.now() } as const
  await seedEvent(store, { ...GONE, ...seeding, progress: say })
  // Seeding waits for no disk: its pages must not be the first checkpoint's to write.
  execFileSync('sync')
  writeFileSync(join(folder, 'watch.mjs'), WATCH)
  const log = join(folder, `${store.kind}.log`)
  const env = { ...bench.env, NODE_OPTIONS: `--import=${join(folder, 'watch.mjs')}`, LOG_LEVEL: 'info' }
  let app = await startApp(folder, env, log)
  const answerMs: number[] = []
  const post = async (event: Record<string, unknown>) => {
    const begun = performance.now()
    const { body, headers } = signedDelivery({ event, secret: SECRET })
    await (await fetch(app.url, { method: 'POST', body, headers })).text()
    answerMs.push(performance.now() - begun)
  }
  // Not counted in the rows: a long read would hold up the checkpoints that are measured here.
  const swept = async () => Number((await bench.rows('select swept from erasures'))[0]?.['swept'])
  await delay(2_500)
  const begun = performance.now()
  await post({ ...ENDING, occurred_at: new Date().toISOString(), data: {} })
  const ended = () => readFileSync(log, 'utf8').includes('stored data of the event erased')
  let killed = false
  for (let n = 1; !ended(); n++) {
    await post(ANOTHER)
    await delay(100)
    if (n % 50 === 0) say(`erased up to ${await swept()}`)
    if (killed || performance.now() - begun < 3_000) continue
    killed = true
    await app.stop('SIGKILL')
    say(`killed at ${await swept()}`)
    app = await startApp(folder, env, log)
    answerMs.length = 0
  }
  const erasedS = (performance.now() - begun) / 1000
  await delay(1_000)
  const loop = JSON.parse(readFileSync(join(folder, 'loop.json'), 'utf8'))
  const names = await bench.rows(
    `select count(body) n, count(last_error) e from inbox where event_id = '${GONE.eventId}'`,
  )
  const traces = store.kind === 'sqlite' && (await untilGone(store.path, folder))
  const errors = readFileSync(log, 'utf8')
    .split('\n')
    .filter(line => /"level":"error"/.test(line))
  await app.stop()
  const sorted = answerMs.toSorted((a, b) => a - b)
  const others = { n: sorted.length, medianMs: sorted[sorted.length >> 1], longestMs: sorted.at(-1) }
  return {
    store: store.kind,
    rows: Number(rows),
    erasedS,
    killed,
    others,
    loop,
    left: names[0],
    traces,
    errors,
  }
}

const folder = mkdtempSync(join(tmpdir(), 'revento-erasure-'))
try {
  if (only !== 'postgres')
    console.log(
      await measure({ kind: 'sqlite', path: join(folder, 'bench.db') }, sqliteStore(folder), folder),
    )
  if (only !== 'sqlite') {
    const server = await startPostgres({ durable: true })
    const bench = await postgresStore(server.url)
    const url = String(bench.env['DATABASE_URL'])
    console.log(await measure({ kind: 'postgres', url }, bench, folder).finally(() => bench.close()))
    await server.stop()
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
