import { copyFileSync, renameSync, rmSync } from 'node:fs'
import { DatabaseSync } from 'node:sqlite'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fileOf } from '../../helpers/app.ts'
import { createClient } from '../../helpers/client.ts'
import { manualClock } from '../../helpers/clock.ts'
import { until } from '../../helpers/wait.ts'
import { signedDelivery } from '../../helpers/webhook.ts'
import { type Receiver, startReceiver } from '../harness.ts'

const client = createClient()
let app: Receiver
afterEach(() => app.close())

const ready = async () => {
  const answer = await client.get(`${app.url}/ready`)
  return { status: answer.status, reason: answer.json()['reason'], retry: answer.headers['retry-after'] }
}
const deliver = () => {
  const { body, headers } = signedDelivery()
  return client.post(`${app.url}/webhooks/revento`, body, headers)
}

describe.each([
  ['deleted', (path: string) => rmSync(path)],
  [
    'replaced',
    (path: string) => {
      copyFileSync(path, `${path}.new`)
      renameSync(`${path}.new`, path)
    },
  ],
])('the database file was %s', (_, lose) => {
  beforeEach(async () => {
    app = await startReceiver()
    lose(fileOf(app))
  })

  test('every delivery is answered 503 with Retry-After, never 200', async () => {
    for (let i = 0; i < 3; i++) {
      const answer = await deliver()
      expect(answer.status).toBe(503)
      expect(answer.headers['retry-after']).toMatch(/^\d+$/)
      expect(answer.json()['error']).toBe('storage_unavailable')
    }
    const many = await Promise.all(Array.from({ length: 20 }, deliver))
    expect(new Set(many.map(answer => answer.status))).toEqual(new Set([503]))
  })

  test('/ready says 503 and why, /health stays 200, and a forged delivery is still a 401', async () => {
    expect(await ready()).toEqual({ status: 503, reason: 'database_file_replaced', retry: '2' })
    expect((await client.get(`${app.url}/health`)).status).toBe(200)
    const { body, headers } = signedDelivery({ secret: 'whsec_of_somebody_else' })
    expect((await client.post(`${app.url}/webhooks/revento`, body, headers)).status).toBe(401)
  })
})

test('the answer tells no path and no database text', async () => {
  app = await startReceiver()
  rmSync(fileOf(app))
  const { text } = await deliver()
  expect(JSON.parse(text)).toEqual({
    error: 'storage_unavailable',
    message: 'The app cannot store anything right now. Try again in a moment.',
    request_id: expect.any(String),
  })
})

test('a file that comes back is used again, and /ready says so', async () => {
  app = await startReceiver()
  const path = fileOf(app)
  renameSync(path, `${path}.away`)
  expect((await deliver()).status).toBe(503)
  renameSync(`${path}.away`, path)
  expect((await deliver()).status).toBe(200)
  await until(async () => (await ready()).status === 200)
  expect((await app.settled()).map(row => row.state)).toEqual(['done'])
})

test('a lock that does not end is a 503 within ten seconds, also for those queued behind others', async () => {
  const clock = manualClock()
  app = await startReceiver({ runtime: clock })
  const other = new DatabaseSync(fileOf(app))
  other.exec('begin immediate')
  const lockedAt = clock.now()
  const post = () => app.post(signedDelivery({ at: clock.now() }))
  const answers = Promise.all([post(), ready(), post(), ready(), post()])
  let answeredAt = 0
  void answers.then(() => {
    answeredAt = clock.now()
  })
  await until(() => {
    if (answeredAt === 0) clock.advance(100)
    return answeredAt > 0
  })
  expect(new Set((await answers).map(({ status }) => status))).toEqual(new Set([503]))
  expect(answeredAt - lockedAt).toBeLessThanOrEqual(10_000)
  other.close()
  await until(async () => (await post()).status === 200)
  expect(await app.rows()).toHaveLength(1)
  // /ready was asked, so the close gives notice first, by a clock that stands still.
  let closed = false
  void app.close().then(() => {
    closed = true
  })
  await until(() => {
    clock.advance(100)
    return closed
  })
})
