import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { testDatabase } from '../helpers/database.ts'
import { rounds } from '../helpers/rounds.ts'
import { emptyPage, json, startUpstream } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { mostWithin, times } from './api-harness.ts'

const WORKER = fileURLToPath(new URL('../helpers/limit-worker.ts', import.meta.url))
/** Windows like Revento's, but short enough for a test. */
const WINDOWS = [
  { limit: 30, lengthMs: 2_000 },
  { limit: 60, lengthMs: 6_000 },
]

function startWorker(args: string[]) {
  const child = spawn(process.execPath, [WORKER, ...args])
  const lines: string[] = []
  child.stderr.pipe(process.stderr)
  createInterface({ input: child.stdout }).on('line', line => lines.push(line))
  return {
    child,
    ready: () => until(() => lines[0] === 'ready', 60_000),
    go: () => child.stdin.write('go\n'),
  }
}

test('four processes on one database, one killed and replaced: no window of the platform holds too many', {
  timeout: 180_000,
}, async () => {
  const { url } = await testDatabase()
  const upstream = await startUpstream()
  onTestFinished(() => upstream.close())
  const arrivals: number[] = []
  upstream.onApi = (request, response) => {
    arrivals.push(performance.now())
    json(200, emptyPage)(request, response)
  }
  const start = () => {
    const worker = startWorker([url, upstream.apiBase, JSON.stringify(WINDOWS)])
    onTestFinished(() => void worker.child.kill('SIGKILL'))
    return worker
  }
  const workers = times(4, start)
  for (const { ready } of workers) await ready()
  for (const { go } of workers) go()
  await until(() => arrivals.length >= 40, 60_000)
  workers[0]?.child.kill('SIGKILL')
  const next = start()
  await next.ready()
  next.go()
  // More than the longer window holds.
  await until(() => arrivals.length >= 60 + rounds(30), 90_000)
  for (const { limit, lengthMs } of WINDOWS) expect(mostWithin(arrivals, lengthMs)).toBeLessThanOrEqual(limit)
})
