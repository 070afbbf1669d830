import { expect, onTestFinished, test } from 'vitest'
import { createAddressLimit } from '../../src/http/caller-address.ts'
import { startApp } from '../helpers/app.ts'
import { createClient } from '../helpers/client.ts'
import { manualClock } from '../helpers/clock.ts'
import { until } from '../helpers/wait.ts'

const from = (address: string, forwarded?: string) => ({
  socket: { remoteAddress: address } as never,
  headers: forwarded === undefined ? {} : { 'x-forwarded-for': forwarded },
})
const times = (n: number, ask: () => boolean) => Array.from({ length: n }, ask).filter(Boolean).length

test('an address may connect sixty times at once, then once a second', () => {
  const clock = manualClock()
  const may = createAddressLimit([], clock)
  expect(times(100, () => may(from('203.0.113.1')))).toBe(60)
  clock.advance(3_000)
  expect(times(100, () => may(from('203.0.113.1')))).toBe(3)
  clock.advance(3_600_000)
  expect(times(100, () => may(from('203.0.113.1')))).toBe(60)
})

test('each address has a limit of its own; all of one IPv6 network share one', () => {
  const may = createAddressLimit([], manualClock())
  expect(times(100, () => may(from('203.0.113.1')))).toBe(60)
  expect(may(from('203.0.113.2'))).toBe(true)
  const many = Array.from({ length: 100 }, (_, i) => from(`2001:db8::${i.toString(16)}`))
  expect(many.filter(may).length).toBe(60)
  expect(may(from('2001:db8:0:1::1'))).toBe(true)
})

test('behind a named proxy its callers are told apart; a header of anybody else is not believed', () => {
  const may = createAddressLimit(['10.0.0.1'], manualClock())
  for (let i = 0; i < 200; i++) expect(may(from('10.0.0.1', `198.51.100.${i}`))).toBe(true)
  expect(times(100, () => may(from('203.0.113.1', `198.51.100.${Math.random()}`)))).toBe(60)
  for (let i = 0; i < 200; i++) expect(may(from('10.0.0.1', `192.0.2.${i}:${40_000 + i}`))).toBe(true)
})

test('the limit remembers a bounded number of addresses: those that are full again are forgotten first, and then all', () => {
  const clock = manualClock()
  const may = createAddressLimit([], clock)
  const others = (n: number, block: number) => {
    for (let i = 0; i < n; i++) may(from(`10.${block}.${i >> 8}.${i & 255}`))
  }
  times(100, () => may(from('203.0.113.1')))
  others(9_999, 1)
  clock.advance(2_000)
  others(1, 2)
  expect(times(100, () => may(from('203.0.113.1')))).toBe(2)
  others(10_000, 3)
  expect(times(100, () => may(from('203.0.113.1')))).toBe(60)
})

test('over the limit /connect is 429 with Retry-After and starts no flow; /callback is not limited', async () => {
  const clock = manualClock()
  const app = await startApp({ runtime: clock })
  onTestFinished(() => app.close())
  const client = createClient()
  for (let i = 0; i < 60; i++) expect((await client.get(`${app.url}/connect`)).status).toBe(302)
  client.cookies.clear()
  const refused = await client.get(`${app.url}/connect`)
  expect([refused.status, refused.json()['error']]).toEqual([429, 'too_many_requests'])
  expect(refused.headers['retry-after']).toMatch(/^\d+$/)
  const flows = await app.database.query.selectFrom('flows').selectAll().execute()
  expect(flows).toHaveLength(60)
  expect((await client.get(`${app.url}/callback`)).json()['error']).toBe('state_missing')
  const line = await until(() => app.log.find(({ status }) => status === 429))
  expect(line).toMatchObject({ reason: 'flows_from_one_address' })
  clock.advance(1_000)
  expect((await client.get(`${app.url}/connect`)).status).toBe(302)
})
