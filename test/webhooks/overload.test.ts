import { connect } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { systemRuntime } from '../../src/process/runtime.ts'
import type { Incoming } from '../../src/webhooks/inbox/append.ts'
import type { Inbox } from '../../src/webhooks/inbox/inbox.ts'
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
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2_600)
  await until(() => answer.includes('\r\n\r\n'))
  expect(answer).toMatch(/^HTTP\/1\.1 503 /)
  await until(async () => (await app.send()).status === 200)
})

test('while the oldest waits for its commit for over four seconds, nobody joins the queue behind it', async () => {
  const clock = manualClock()
  const overload = createOverload(clock)
  const commits: (() => void)[] = []
  const append = () => new Promise<number>(resolve => commits.push(() => resolve(1)))
  const inbox = overload.watched({ append } as unknown as Inbox)
  const first = inbox.append({} as Incoming)
  clock.advance(3_000)
  const second = inbox.append({} as Incoming)
  clock.advance(1_000)
  expect(overload.isOver()).toBe(false)
  clock.advance(1)
  expect(overload.isOver()).toBe(true)
  commits[0]?.()
  await first
  expect(overload.isOver()).toBe(false)
  clock.advance(3_000)
  expect(overload.isOver()).toBe(true)
  commits[1]?.()
  await second
  expect(overload.isOver()).toBe(false)
})

test('one whose commit failed waits no longer', async () => {
  const clock = manualClock()
  const overload = createOverload(clock)
  const inbox = overload.watched({ append: () => Promise.reject(new Error('full')) } as unknown as Inbox)
  await expect(inbox.append({} as Incoming)).rejects.toThrow('full')
  clock.advance(60_000)
  expect(overload.isOver()).toBe(false)
})

test('no more than 5,000 sockets are held', async () => {
  const app = await startReceiver()
  onTestFinished(() => app.close())
  expect(app.app.server.maxConnections).toBe(5_000)
})
