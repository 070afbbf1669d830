import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { shippedProviders as providers } from '../../src/webhooks/providers/index.ts'
import { secretOf, signedAs } from '../helpers/senders.ts'
import type { Receiver } from '../webhooks/harness.ts'
import { expectUnharmed, inboxOf, startBodies } from './body-checks.ts'
import { INVALID_JSON, NAMES, STORED } from './body-rows.ts'

let app: Receiver
beforeAll(async () => {
  app = await startBodies()
})
afterAll(() => app.close())
afterEach(() => expectUnharmed(app))

const newest = () => inboxOf(app).selectAll().orderBy('id', 'desc').limit(1).executeTakeFirstOrThrow()

test.each(STORED)('stored as it came, and handled: %s', async (_, body) => {
  expect(await app.send({ body })).toMatchObject({ status: 200, text: 'ok' })
  expect(Buffer.from((await newest()).body ?? []).equals(Buffer.from(body))).toBe(true)
})

/** What the document of a sender lets through is stored as it came, and nothing is answered 500. */
test('bodies that other senders sign are stored as they came, and handled', async () => {
  const bodies = [...STORED, ...INVALID_JSON].map(([, body]) => Buffer.from(body))
  const others = providers.filter(({ name }) => name !== 'revento')
  const known = new Set<string>()
  for (const [turn, provider] of others.entries()) {
    const own = ['event_id', 'event_type', 'idempotency_key', 'event', 'type'].flatMap(name =>
      NAMES.map(value => Buffer.from(`{"event_id":"e","event_type":"player.verify","${name}":${value}}`)),
    )
    // Each body goes to every other one of the senders.
    for (const body of [...bodies.filter((_, n) => (n + turn) % 2 === 0), ...own]) {
      const { headers } = signedAs(provider, { body, secret: secretOf(provider) })
      const url = `${app.url}/webhooks/${provider.name}`
      const answer = await fetch(url, { method: 'POST', headers, body })
      const text = await answer.text()
      known.add(`${answer.status} ${/^\{"error":"([a-z_]+)"/.exec(text)?.[1] ?? ''}`)
      if (answer.status !== 200) continue
      const row = await newest()
      // A repeat of another test's bytes is resolved at once, and keeps no body.
      if (row.body && !provider.inline) expect(Buffer.from(row.body).equals(body)).toBe(true)
    }
  }
  // The last one is what the handler says of an unknown player.
  expect([...known].sort()).toEqual(
    others.length > 0 ? ['200 ', '400 invalid_json', '400 invalid_payload', '404 '] : [],
  )
})
