import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setTimeout as delay } from 'node:timers/promises'
import { expect, onTestFinished, test } from 'vitest'
import { testFolder } from '../helpers/folder.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { SECRET, startApp } from '../lab/bench/processes.ts'

test('another program holds the database for two seconds: answered after the wait, /health all along', async () => {
  const folder = testFolder()
  const app = await startApp(folder, { LOG_LEVEL: 'error' })
  onTestFinished(async () => void (await app.stop()))
  const other = new DatabaseSync(join(folder, 'bench.db'), { timeout: 5000 })
  onTestFinished(() => other.close())
  other.exec('begin immediate')
  let locked = true
  const answers = Array.from({ length: 20 }, async () => {
    const answer = await fetch(app.url, { method: 'POST', ...signedDelivery({ secret: SECRET }) })
    return { status: answer.status, locked }
  })
  const health: number[] = []
  const end = performance.now() + 2000
  while (performance.now() < end) {
    const begun = performance.now()
    expect((await fetch(app.url.replace('/webhooks/revento', '/health'))).status).toBe(200)
    health.push(performance.now() - begun)
    await delay(10)
  }
  other.exec('commit')
  locked = false
  for (const answer of await Promise.all(answers)) expect(answer).toEqual({ status: 200, locked: false })
  // A loop that stood still for the two seconds would have answered once or twice.
  expect(health.length).toBeGreaterThan(30)
  health.sort((a, b) => a - b)
  process.stdout.write(
    `/health p99 while locked: ${health[Math.floor(health.length * 0.99)]?.toFixed(1)} ms\n`,
  )
}, 60_000)
