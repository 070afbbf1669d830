import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { systemRuntime } from '../../../src/process/runtime.ts'
import type { Store } from '../../../src/storage/database.ts'
import { openDatabase } from '../../../src/storage/open.ts'
import { createClient, sessionCookie, stateOf } from '../../helpers/client.ts'
import { startPostgres } from '../../helpers/postgres.ts'
import { seedEvent } from '../../helpers/seed.ts'
import { startUpstream } from '../../helpers/upstream.ts'
import { signedDelivery } from '../../helpers/webhook.ts'
import { SECRET, startApp } from './processes.ts'
import { type BenchStore, postgresStore, sqliteStore } from './stores.ts'

/**
 * node test/lab/bench/volume.ts [ROWS] [sqlite|postgres]: that many parked deliveries of one event, a million by default; its
 * organizer connects again while webhooks of another event arrive. Prints, in ms, when the reconnect was answered, when
 * the first of them was handled and when all were, and how the others fared.
 */
const [rows = '1000000', only] = process.argv.slice(2)
const PARKED = { eventId: 'evt_test_published', organizationId: 'org_test_formal', type: 'activity.updated' }
const ANOTHER = { type: 'activity.updated', event_id: 'evt_another', organization_id: 'org_another' }

const say = (text: string) => console.error(`${new Date().toISOString().slice(11, 19)} ${text}`)
const since = (begun: number) => Math.round(performance.now() - begun)

async function measure(store: Store, bench: BenchStore, folder: string) {
  await (await openDatabase(store, systemRuntime)).close()
  const seeding = { rows: Number(rows), state: 'parked', bodyBytes: 800, receivedAt: Date.now() } as const
  await seedEvent(store, { ...PARKED, ...seeding, progress: say })
  const upstream = await startUpstream()
  const bases = { REVENTO_AUTH_BASE: upstream.authBase, REVENTO_API_BASE: upstream.apiBase }
  const app = await startApp(folder, { ...bench.env, ...bases, LOG_LEVEL: 'warn' })
  const url = `http://localhost:${new URL(app.url).port}`
  const others = watchOthers(app.url, url, bench)
  await delay(3_000)
  const client = createClient()
  const begun = performance.now()
  const state = stateOf(await client.get(`${url}/connect?event_id=${PARKED.eventId}`))
  const { status } = await client.get(`${url}/callback?code=c1&state=${state}`)
  const reconnectMs = since(begun)
  const hasSession = sessionCookie(client).value !== ''
  const count = async (sql: string) => Number((await bench.rows(`select count(*) n from ${sql}`))[0]?.['n'])
  const handled = `select 1 from inbox where event_id = '${PARKED.eventId}' and attempts > 0 limit 1`
  while ((await count(`(${handled}) as x`)) === 0) await delay(50)
  const firstMs = since(begun)
  for (let left = Number(rows), said = left; left > 0; await delay(1_000)) {
    left = await count("inbox where state in ('parked', 'pending', 'running')")
    if (said - left < 50_000 && left > 0) continue
    said = left
    say(`${left} left after ${since(begun)} ms`)
  }
  const allMs = since(begun)
  const results = { store: store.kind, rows: Number(rows), reconnectMs, status, hasSession, firstMs, allMs }
  const done = await count(`inbox where event_id = '${PARKED.eventId}' and state = 'done'`)
  const also = { ...(await others.stop()), done, peakMb: app.peakMb() }
  await app.stop()
  await upstream.close()
  return { ...results, ...also }
}

/** Ten webhooks a second of another event: how they are answered and handled, and what /ready says. */
function watchOthers(webhooks: string, url: string, bench: BenchStore) {
  const stop = new AbortController()
  const answerMs: number[] = []
  const refused: number[] = []
  const notReady: string[] = []
  const work = async () => {
    for (let n = 1; !stop.signal.aborted; n++) {
      const begun = performance.now()
      const { body, headers } = signedDelivery({ event: ANOTHER, secret: SECRET })
      const answer = await fetch(webhooks, { method: 'POST', body, headers })
      answerMs.push(since(begun))
      if (!answer.ok) refused.push(answer.status)
      if (n % 10 === 0) {
        const ready = await fetch(`${url}/ready`)
        if (!ready.ok) notReady.push(await ready.text())
      }
      await delay(100)
    }
  }
  const working = work()
  return {
    async stop() {
      stop.abort()
      await working
      const sorted = answerMs.toSorted((a, b) => a - b)
      const times = `select finished_at - received_at as ms from inbox where event_id = '${ANOTHER.event_id}'`
      const handled = (await bench.rows(`${times} and state = 'done' order by 1 desc`)).map(row =>
        Number(row['ms']),
      )
      return {
        others: sorted.length,
        answerMs: { median: sorted[sorted.length >> 1], longest: sorted.at(-1) },
        handledMs: { n: handled.length, median: handled[handled.length >> 1], longest: handled[0] },
        refused,
        notReady,
      }
    },
  }
}

const folder = mkdtempSync(join(tmpdir(), 'revento-volume-'))
try {
  if (only !== 'postgres')
    console.log(
      await measure({ kind: 'sqlite', path: join(folder, 'bench.db') }, sqliteStore(folder), folder),
    )
  if (only !== 'sqlite') {
    const server = await startPostgres({ durable: true })
    const bench = await postgresStore(server.url)
    const url = bench.env['DATABASE_URL'] ?? ''
    console.log(await measure({ kind: 'postgres', url }, bench, folder).finally(() => bench.close()))
    await server.stop()
  }
} finally {
  rmSync(folder, { recursive: true, force: true })
}
