import { expect, test } from 'vitest'
import { createPrometheus } from '../../src/metrics/prometheus.ts'
import { createClient } from '../helpers/client.ts'
import { testStore } from '../helpers/database.ts'
import { type TestRuntime, testRuntime } from '../helpers/runtime.ts'
import { SENDERS_ENV, VERIFY_TOKEN } from '../helpers/senders.ts' // part: senders
import { signedDelivery } from '../helpers/webhook.ts'
import { BROWSER, connect, startPair } from '../oauth/harness.ts'

const [OLD, NEW, NEWER] = ['webhook-secret-old-01', 'webhook-secret-new-02', 'webhook-secret-newer-03']
const DAY = 24 * 3_600_000
const REVENTO = 'REVENTO_WEBHOOK_SECRET'

/** The app, started again on its database with these secrets; its organizer has a session. */
async function start(databaseUrl: string, runtime: TestRuntime, current: string, previous?: string) {
  const metrics = createPrometheus({ version: '1', mode: 'real' })
  const env = { [REVENTO]: current, ...(previous && { [`${REVENTO}_PREVIOUS`]: previous }) }
  const pair = await startPair({ databaseUrl, runtime, metrics, env })
  const { app } = pair
  return {
    app,
    async deliver(secret: string, type = 'application.approved') {
      const { body, headers } = signedDelivery({ secret, at: runtime.now(), event: { type } })
      return (await createClient().post(`${app.url}/webhooks/revento`, body, headers)).status
    },
    /** What the page says of keys, without marks; undefined where it says nothing. */
    async page() {
      const { client } = await connect(pair)
      const { text } = await client.get(`${app.url}/`, BROWSER)
      for (const secret of [OLD, NEW, NEWER]) expect(text).not.toContain(secret)
      const [section] = /<section aria-labelledby="keys-title">.*?<\/section>/s.exec(text) ?? []
      return section?.replace(/<[^>]+>/g, '').replace(/\s+/g, ' ')
    },
    async gauge(name: string, label = '') {
      const line = (await metrics.text()).split('\n').find(text => text.startsWith(`${name}${label} `))
      return line && Number(line.split(' ').at(-1))
    },
  }
}

/** Moves the clock just past a full minute, because the page tells moments by the minute. */
const toTheMinute = (runtime: TestRuntime) => runtime.advance(60_000 - (runtime.now() % 60_000))
const minute = (ms: number) => new Date(ms).toISOString().slice(0, 16).replace('T', ' ')
const lastUsed = (key: string) => `{variable="${REVENTO}",key="${key}"}`
const SAFE = `Safe to remove: delete ${REVENTO}_PREVIOUS and restart.`

test('a secret is changed: kept while it is used, and gone without a delivery lost', async () => {
  const [{ url }, runtime] = [await testStore(), testRuntime()]
  const removable = (app: Awaited<ReturnType<typeof start>>) =>
    app.gauge('key_previous_removable', `{variable="${REVENTO}"}`)

  const before = await start(url, runtime, OLD)
  toTheMinute(runtime)
  expect(await before.deliver(OLD)).toBe(200)
  const firstUsed = runtime.now()
  expect(await before.page()).toBeUndefined()
  expect(await removable(before)).toBeUndefined()
  expect(await before.deliver(NEW)).toBe(401)
  await before.app.close()

  runtime.advance(3_600_000)
  const both = await start(url, runtime, NEW, OLD)
  const atFirst = await both.page()
  expect(atFirst).toContain(`${REVENTO}: the previous one was last used ${minute(firstUsed)} UTC.`)
  expect(atFirst).toContain('Nothing has come with the new one yet: keep the previous one')
  toTheMinute(runtime)
  expect(await both.deliver(OLD)).toBe(200)
  const oldUsed = runtime.now()
  expect(await both.page()).toContain(`last used ${minute(oldUsed)} UTC. Nothing has come`)
  expect(await both.deliver(NEW, 'starter.go_live')).toBe(200)
  expect(await both.page()).toContain('Nothing has come with the new one yet')
  expect(await both.deliver(NEW)).toBe(200)
  expect(await both.page()).toContain('Keep it until the new one has been in use for a day without it.')

  runtime.advance(DAY)
  expect(await both.page()).toContain('Keep it until')
  expect(await removable(both)).toBe(0)
  expect(await both.deliver(NEW)).toBe(200)
  const newUsed = runtime.now()
  expect(await both.page()).toContain(
    `last used ${minute(oldUsed)} UTC. The new one has been in use for a day`,
  )
  expect(await both.page()).toContain(SAFE)
  expect(await removable(both)).toBe(1)
  const gauge = 'key_last_used_timestamp_seconds'
  expect(await both.gauge(gauge, lastUsed('previous'))).toBeCloseTo(oldUsed / 1000, 0)
  expect(await both.gauge(gauge, lastUsed('current'))).toBeCloseTo(newUsed / 1000, 0)
  await both.app.close()

  const again = await start(url, runtime, NEW, OLD)
  expect(await again.page()).toContain('Keep it until the clock has run steadily for an hour.')
  runtime.advance(3_600_000)
  expect(await again.page()).toContain(SAFE)
  expect(await again.deliver(OLD)).toBe(200)
  expect(await again.page()).toContain('Keep it until')
  await again.app.close()

  const after = await start(url, runtime, NEW)
  expect(await after.deliver(OLD)).toBe(401)
  expect(await after.deliver(NEW)).toBe(200)
  expect(await after.page()).toBeUndefined()
  expect(await after.gauge(gauge, lastUsed('previous'))).toBeUndefined()
  await after.app.close()

  const next = await start(url, runtime, NEWER, NEW)
  expect(await next.page()).toContain('Nothing has come with the new one yet')
  expect(await removable(next)).toBe(0)
})

test('two processes on one database: what one has taken with the old secret, the other one knows', async () => {
  const [{ url }, runtime] = [await testStore(), testRuntime()]
  const one = await start(url, runtime, NEW, OLD)
  const two = await start(url, runtime, NEW, OLD)
  runtime.advance(2 * DAY)
  expect(await one.deliver(NEW)).toBe(200)
  expect(await one.page()).toContain(SAFE)
  expect(await two.deliver(OLD)).toBe(200)
  expect(await two.page()).toContain('keep the previous one')
  // Stopping stores what the last minute brought.
  await two.app.close()
  expect(await one.page()).toContain('Keep it until')
})

// part: senders {
test('each sender’s previous secret and the verify token are told apart; nobody without a session sees it', async () => {
  const runtime = testRuntime()
  const metrics = createPrometheus({ version: '1', mode: 'real' })
  const env = {
    ...SENDERS_ENV,
    WEBHOOK_VERIFY_TOKEN: 'verify-token-the-new-one',
    WEBHOOK_VERIFY_TOKEN_PREVIOUS: VERIFY_TOKEN,
  }
  const pair = await startPair({ runtime, env, metrics })
  const shown = (token: string) =>
    createClient().get(`${pair.app.url}/webhooks/handshake?verify_token=${token}`)
  const used = async () =>
    (await metrics.text()).split('\n').filter(line => line.startsWith('key_last_used_timestamp_seconds{'))
  expect(await used()).toEqual([])
  expect((await shown('verify-token-of-nobody')).status).toBe(401)
  expect(await used()).toEqual([])
  expect((await shown(VERIFY_TOKEN)).status).toBe(200)
  expect(await used()).toEqual([expect.stringContaining('{variable="WEBHOOK_VERIFY_TOKEN",key="previous"}')])
  expect((await shown('verify-token-the-new-one')).status).toBe(200)
  expect(await used()).toHaveLength(2)
  const { client } = await connect(pair)
  const { text } = await client.get(`${pair.app.url}/`, BROWSER)
  for (const name of ['ENTRUPY', 'AGHANIM', 'BARKER', 'STANDARD']) {
    expect(text.replaceAll('<wbr>', '')).toContain(`${name}_WEBHOOK_SECRET`)
  }
  expect(text).toContain('Keep it until the new one has been in use for two days without it.')
  for (const secret of Object.values(env)) expect(text).not.toContain(secret)
  expect((await createClient().get(`${pair.app.url}/`, BROWSER)).text).not.toMatch(/Keys being|_PREVIOUS/)
})
// part: senders }
