// part: senders
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { VERIFY_TOKEN } from '../helpers/senders.ts'
import type { Receiver } from '../webhooks/harness.ts'
import { expectUnharmed, startBodies } from './body-checks.ts'
import { INVALID_JSON, STORED } from './body-rows.ts'

let app: Receiver
beforeAll(async () => {
  app = await startBodies()
  await fetch(`${app.url}/webhooks/handshake?verify_token=${VERIFY_TOKEN}`)
})
afterAll(() => app.close())
afterEach(() => expectUnharmed(app))

/** The handshake signs nothing: what is JSON is stored, and the rest is refused. */
test.each([...STORED.map(row => [200, ...row] as const), ...INVALID_JSON.map(row => [400, ...row] as const)])(
  'behind the handshake, %i: %s',
  async (status, _, body) => {
    const answer = await fetch(`${app.url}/webhooks/handshake`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(body),
    })
    expect(answer.status).toBe(status)
  },
)
