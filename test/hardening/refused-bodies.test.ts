import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { WEBHOOK_SECRET } from '../helpers/secrets.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import type { Receiver } from '../webhooks/harness.ts'
import { expectUnharmed, inboxOf, startBodies } from './body-checks.ts'
import { INVALID_JSON, INVALID_PAYLOAD, STORED } from './body-rows.ts'

let app: Receiver
beforeAll(async () => {
  app = await startBodies()
})
afterAll(() => app.close())
afterEach(() => expectUnharmed(app))

const count = async () => (await inboxOf(app).select('id').execute()).length

const ENCODINGS: Record<string, string> = { gzip: 'gzip', deflate: 'deflate', brotli: 'br' }

test.each(INVALID_JSON)('invalid_json, not undone and not stored: %s', async (what, body) => {
  const before = await count()
  const encoding = ENCODINGS[what.split(' ')[0] ?? '']
  const headers = encoding ? { headers: { 'content-encoding': encoding } } : {}
  const answer = await app.send({ body, ...headers })
  expect([answer.status, JSON.parse(answer.text).error]).toEqual([400, 'invalid_json'])
  expect(await count()).toBe(before)
})

test.each(INVALID_PAYLOAD)('invalid_payload, and not stored: %s', async (_, body) => {
  const before = await count()
  const answer = await app.send({ body })
  expect([answer.status, JSON.parse(answer.text).error]).toEqual([400, 'invalid_payload'])
  expect(await count()).toBe(before)
})

test('the same bodies unsigned are looked into for the developer, and are 401 in bounded time', async () => {
  let slowest = 0
  for (const [what, body] of [...STORED, ...INVALID_JSON, ...INVALID_PAYLOAD]) {
    const startedAt = performance.now()
    const answer = await app.post(
      signedDelivery({ body: Buffer.from(body), secret: `not ${WEBHOOK_SECRET}` }),
    )
    expect(answer.status, what).toBe(401)
    slowest = Math.max(slowest, performance.now() - startedAt)
  }
  console.log(`the slowest unsigned body took ${slowest.toFixed(1)} ms`)
})
