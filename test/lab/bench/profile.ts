import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { runLoad, SECRET, startApp } from './processes.ts'
import { countOf, sqliteStore } from './stores.ts'

/**
 * node test/lab/bench/profile.ts [SECONDS]: where the main thread's time goes for one webhook on SQLite, from its bytes
 * to its handled row, in microseconds. The sampling profiler adds to what is called often: the shares are firm, the sums
 * are not. What is awaited has lost its caller, so the statements of claims and outcomes are one line. A sample that took
 * far longer than asked tells that another program had the core, and counts as one: so it may run beside others.
 */
const seconds = Number(process.argv[2] ?? 4)
const INTERVAL_US = 200

interface Frame {
  readonly functionName: string
  readonly url: string
}
interface Profile {
  readonly nodes: readonly { id: number; callFrame: Frame; children?: readonly number[] }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
  /** In microseconds of the machine's monotonic clock, which all processes share. */
  readonly startTime: number
}

/** Of SqliteFile, with what SQLite does in them; the nameless one is the work of `atomically`. */
const COMMITS = new Set(['exec', 'begin', ''])

/** The first that fits a frame, or the nearest of its callers that one fits, says what the time was spent on. */
const PARTS: readonly (readonly [string, (frame: Frame) => boolean])[] = [
  ['idle', f => f.functionName === '(idle)'],
  ['garbage collection', f => f.functionName === '(garbage collector)'],
  ['native, outside JavaScript', f => f.functionName === '(program)'],
  ['insert', f => f.url.endsWith('/inbox/append.ts')],
  [
    'begin, commit, fsync, checkpoint',
    f => f.url.endsWith('/sqlite/sqlite.ts') && COMMITS.has(f.functionName),
  ],
  ['guards of the files', f => f.url.endsWith('/sqlite/watch.ts')],
  ['statements of the dispatcher', f => f.url.includes('/storage/sqlite/')],
  ['query builder', f => f.url.includes('/node_modules/kysely/')],
  ['signature', f => f.url.endsWith('/verify/signature.ts')],
  ['log', f => /\/src\/process\/log|request-log|dispatch\/log/.test(f.url)],
  ['handlers', f => /\/(integration|run-handler|dispatch\/run)/.test(f.url)],
  ['dispatcher', f => /\/webhooks\/(dispatch|inbox)\//.test(f.url)],
  ['route', f => /\/src\/(webhooks|keys)\//.test(f.url)],
  ['hooks of every request', f => f.url.includes('/src/http/')],
  ['Fastify', f => /\/node_modules\/(fastify|@fastify|find-my-way|avvio)/.test(f.url)],
  ['node:http, sockets', f => /^node:(_http|internal\/http|net|internal\/stream|events)/.test(f.url)],
]

const partOf = (frame: Frame) => PARTS.find(([, fits]) => fits(frame))?.[0]

/** Microseconds by part, between two moments. */
function sumParts(
  { nodes, samples, timeDeltas, startTime }: Profile,
  from: number,
  to: number,
): Map<string, number> {
  const parents = new Map(nodes.flatMap(node => (node.children ?? []).map(child => [child, node] as const)))
  const parts = new Map<number, string>()
  for (const node of nodes) {
    let found = partOf(node.callFrame)
    for (let up = parents.get(node.id); up && !found; up = parents.get(up.id)) found = partOf(up.callFrame)
    parts.set(node.id, found ?? 'the rest')
  }
  const sums = new Map<string, number>()
  let now = startTime
  for (const [i, id] of samples.entries()) {
    const us = timeDeltas[i] ?? 0
    now += us
    if (now < from || now > to) continue
    const part = parts.get(id) ?? 'the rest'
    sums.set(part, (sums.get(part) ?? 0) + Math.min(us, 2 * INTERVAL_US))
  }
  return sums
}

const now = () => Number(process.hrtime.bigint() / 1000n)

async function profileOf(folder: string) {
  const options = `--cpu-prof --cpu-prof-dir=${folder}/profile --cpu-prof-interval=${INTERVAL_US}`
  const app = await startApp(folder, { NODE_OPTIONS: options })
  const store = sqliteStore(folder)
  const load = { url: app.url, secret: SECRET, type: 'activity.updated', connections: 64, seconds }
  const drained = async () => {
    while ((await countOf(store, `'pending', 'running'`)) > 0) await delay(20)
  }
  await runLoad({ ...load, seconds: 2 })
  await drained()
  const from = now()
  const { accepted } = await runLoad(load)
  await drained()
  const to = now()
  await store.close()
  await app.stop()
  const [name = ''] = readdirSync(join(folder, 'profile'))
  const profile: Profile = JSON.parse(readFileSync(join(folder, 'profile', name), 'utf8'))
  return { sums: sumParts(profile, from, to), deliveries: accepted }
}

const folder = mkdtempSync(join(tmpdir(), 'revento-profile-'))
try {
  const { sums: unsorted, deliveries } = await profileOf(folder)
  const sums = [...unsorted].sort(([, a], [, b]) => b - a)
  const busy = sums.reduce((sum, [part, us]) => (part === 'idle' ? sum : sum + us), 0)
  console.table(
    Object.fromEntries(
      sums.map(([part, us]) => {
        const share = part === 'idle' ? '' : `${Math.round((us / busy) * 100)} %`
        return [part, { 'µs a delivery': Math.round((us / deliveries) * 10) / 10, share }]
      }),
    ),
  )
  console.log(`${deliveries} deliveries, answered and handled`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
