import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { Agent, request } from 'undici'
import { freePort } from '../../helpers/ports.ts'
import { startPostgres } from '../../helpers/postgres.ts'
import { signedDelivery } from '../../helpers/webhook.ts'
import { SECRET, startApp } from './processes.ts'

/**
 * node test/lab/bench/soak.ts [MINUTES] [PER_SECOND]: a steady load on one process for each store, every tenth delivery sent
 * twice; prints the memory of both every ten seconds, and how it grew over the second half.
 */
const [minutes = 10, perSecond = 100] = process.argv.slice(2).map(Number)
const SAMPLE_MS = 10_000
const SEND_MS = 50

interface Sample {
  readonly hours: number
  readonly rssMb: number
  readonly heapMb: number
}

async function soak(store: string, folder: string, env: Record<string, string>) {
  const metrics = await freePort()
  const app = await startApp(folder, { ...env, LOG_LEVEL: 'warn', METRICS_PORT: String(metrics) })
  const dispatcher = new Agent({ connections: 16 })
  const answers: Record<number, number> = {}
  const under = new Set<Promise<void>>()
  const send = async (id: string) => {
    const data = { id, participant_id: `ptp_${id}`, status: 'approved' }
    const { body, headers } = signedDelivery({ id, event: { id: `evt_${id}`, data }, secret: SECRET })
    const answer = await request(app.url, { method: 'POST', body, headers, dispatcher })
    await answer.body.dump()
    answers[answer.statusCode] = (answers[answer.statusCode] ?? 0) + 1
  }
  const samples: Sample[] = []
  const begun = performance.now()
  for (let sent = 0, sampled = 0; performance.now() - begun < minutes * 60_000; await delay(SEND_MS)) {
    const elapsed = performance.now() - begun
    for (; sent < (elapsed / 1000) * perSecond; sent++) {
      const sending = send(`${store}-${sent % 10 === 9 ? sent - 1 : sent}`).finally(() =>
        under.delete(sending),
      )
      under.add(sending)
    }
    if (elapsed < (sampled + 1) * SAMPLE_MS) continue
    sampled++
    const sample = { hours: elapsed / 3_600_000, ...(await memory(metrics)) }
    samples.push(sample)
    console.error(`${store} ${Math.round(elapsed / 1000)} s: RSS ${sample.rssMb}, heap ${sample.heapMb} MB`)
  }
  await Promise.all(under)
  await app.stop()
  await dispatcher.close()
  const later = samples.slice(Math.floor(samples.length / 2))
  return { store, answers, rssMbPerHour: slope(later, 'rssMb'), heapMbPerHour: slope(later, 'heapMb') }
}

async function memory(port: number): Promise<{ rssMb: number; heapMb: number }> {
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  const mb = (name: string) =>
    Math.round(Number(new RegExp(`^${name} (\\S+)`, 'm').exec(text)?.[1]) / 1e5) / 10
  return { rssMb: mb('process_resident_memory_bytes'), heapMb: mb('nodejs_heap_size_used_bytes') }
}

/** Of the straight line that fits best. */
function slope(samples: readonly Sample[], of: 'rssMb' | 'heapMb'): number {
  const mean = (list: number[]) => list.reduce((a, b) => a + b, 0) / list.length
  const [x, y] = [mean(samples.map(s => s.hours)), mean(samples.map(s => s[of]))]
  const up = samples.reduce((sum, s) => sum + (s.hours - x) * (s[of] - y), 0)
  return Math.round(up / samples.reduce((sum, s) => sum + (s.hours - x) ** 2, 0))
}

const folder = mkdtempSync(join(tmpdir(), 'revento-soak-'))
const server = await startPostgres({ durable: true })
const ENCRYPTION_KEY = Buffer.alloc(32, 7).toString('base64')
try {
  const results = await Promise.all([
    soak('sqlite', mkdtempSync(join(folder, 'sqlite-')), { ENCRYPTION_KEY }),
    soak('postgres', mkdtempSync(join(folder, 'postgres-')), { ENCRYPTION_KEY, DATABASE_URL: server.url }),
  ])
  for (const result of results) console.log(JSON.stringify(result))
} finally {
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}
