import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import type { Database } from '../../src/storage/database.ts'
import type { Incoming } from '../../src/webhooks/inbox/append.ts'
import { createInbox } from '../../src/webhooks/inbox/inbox.ts'
import { createOverload } from '../../src/webhooks/overload.ts'
import { manualClock } from '../helpers/clock.ts'
import { testRuntime } from '../helpers/runtime.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { startReceiver } from './harness.ts'

test('while the event loop is two seconds late, webhooks are told to come again, and pages are served', async () => {
  const load = { late: 0 }
  const app = await startReceiver({ runtime: { ...testRuntime(), late: () => load.late } })
  onTestFinished(() => app.close())
  load.late = 2_001
  const { body, headers } = signedDelivery()
  const refused = await fetch(`${app.url}/webhooks/revento`, { method: 'POST', body, headers })
  expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '2'])
  expect(await refused.json()).toMatchObject({ error: 'overloaded' })
  expect((await fetch(`${app.url}/`)).status).toBe(200)
  expect((await fetch(`${app.url}/ready`)).status).toBe(200)
  expect(await app.rows()).toEqual([])
  load.late = 2_000
  expect((await app.post({ body, headers })).status).toBe(200)
  const shed = await until(() => app.requestLog().find(line => line['status'] === 503))
  expect(shed).toMatchObject({ error: 'overloaded', path: '/webhooks/revento' })
  // No stack: refusing has to cost less than serving.
  expect(app.log.filter(line => line['msg'] === 'request failed')).toEqual([])
})

test('a real standstill is seen by the first request after it, and is over soon after', async () => {
  const runtime = { ...testRuntime(), late: systemRuntime.late }
  const app = await startReceiver({ runtime })
  onTestFinished(() => app.close())
  await until(() => runtime.late() < 100)
  const { body, headers } = signedDelivery()
  const socket = connect(Number(new URL(app.url).port), '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  await new Promise(resolve => socket.once('connect', resolve))
  let answer = ''
  socket.on('data', chunk => {
    answer += chunk
  })
  const lines = Object.entries({ host: 'localhost', ...headers, 'content-length': String(body.length) })
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  socket.write(`POST /webhooks/revento HTTP/1.1\r\n${head}\r\n${body}`)
  standStill(2_400)
  await until(() => answer.includes('\r\n\r\n'))
  expect(answer).toMatch(/^HTTP\/1\.1 503 /)
  await until(async () => (await app.send()).status === 200)
})

test('what a start took is no reason to refuse the first webhook', async () => {
  const another = new URL('../../src/process/runtime.ts?another', import.meta.url).href
  const { systemRuntime: started }: typeof import('../../src/process/runtime.ts') = await import(another)
  standStill(500)
  expect(started.late()).toBeLessThan(100)
  standStill(500)
  expect(started.late()).toBeGreaterThan(200)
})

const standStill = (ms: number) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)

/** An inbox whose commits end when the test says so. */
function slowInbox() {
  const clock = manualClock()
  const commits: PromiseWithResolvers<number[]>[] = []
  const query = { getExecutor: () => ({}) }
  const exclusively = () => {
    const commit = Promise.withResolvers<number[]>()
    commits.push(commit)
    return commit.promise
  }
  const database = { kind: 'sqlite', query, exclusively } as unknown as Database
  const backlog = { added: () => {}, isFull: () => false }
  const inbox = createInbox(database, backlog, () => {}, clock)
  const append = () => inbox.append({ body: new Uint8Array() } as Incoming)
  return { clock, commits, append, isOver: createOverload(inbox, { late: () => 0 }) }
}

test('while the oldest waits for its commit for over four seconds, nobody joins the queue behind it', async () => {
  const { clock, commits, append, isOver } = slowInbox()
  const first = append()
  await until(() => commits.length === 1)
  clock.advance(3_000)
  const second = append()
  clock.advance(1_000)
  expect(isOver()).toBe(false)
  clock.advance(1)
  expect(isOver()).toBe(true)
  commits[0]?.resolve([1])
  await first
  await until(() => commits.length === 2)
  expect(isOver()).toBe(false)
  clock.advance(3_000)
  expect(isOver()).toBe(true)
  commits[1]?.resolve([2])
  await second
  await until(() => !isOver())
})

test('a delivery whose commit failed waits no longer', async () => {
  const { clock, commits, append, isOver } = slowInbox()
  const refused = append()
  await until(() => commits.length === 1)
  commits[0]?.reject(new Error('full'))
  await expect(refused).rejects.toThrow('full')
  clock.advance(60_000)
  await until(() => !isOver())
})

test('no more than 5,000 sockets are held', async () => {
  const app = await startReceiver()
  onTestFinished(() => app.close())
  expect(app.app.server.maxConnections).toBe(5_000)
})
