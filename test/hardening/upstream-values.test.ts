import { expect, test } from 'vitest'
import type { HandlerContext } from '../../src/builder/context.ts'
import { readRateHeaders, retryAfter } from '../../src/revento/rate-headers.ts'
import { json, tokens } from '../helpers/upstream.ts'
import { until } from '../helpers/wait.ts'
import { signedDelivery } from '../helpers/webhook.ts'
import { connect, EVENT, startPair } from '../oauth/harness.ts'
import { hostileServer } from './hostile-server.ts'
import { http } from './upstream-wires.ts'

const NOW = Date.parse('2026-05-09T12:00:00Z')
const HOUR_MS = 3_600_000

test.for<[string, number | undefined, 'odd'?]>([
  ['0', 0],
  ['7', 7_000],
  ['0007', 7_000],
  ['3600', HOUR_MS],
  ['3601', HOUR_MS, 'odd'],
  ['31536001', HOUR_MS, 'odd'],
  ['9'.repeat(15), HOUR_MS, 'odd'],
  ['9'.repeat(400), HOUR_MS, 'odd'],
  // A moment, in seconds or milliseconds since 1970.
  [String(NOW / 1000 + 5), 5_000, 'odd'],
  [String(NOW / 1000 - 5), 0, 'odd'],
  [String(NOW + 5_000), 5_000, 'odd'],
  [String(NOW / 1000 + 7_200), HOUR_MS, 'odd'],
  ['Sat, 09 May 2026 12:00:05 GMT', 5_000],
  ['Sat, 09 May 2020 12:00:05 GMT', 0],
  ['Fri, 31 Dec 9999 23:59:59 GMT', HOUR_MS, 'odd'],
  ...['', ' ', '-1', '+1', '1.5', '1e9', '0x10', 'NaN', 'Infinity', 'soon', '1, 2', '１', '2026-05-09'].map(
    (text): [string, undefined] => [text, undefined],
  ),
])('Retry-After "%s" is %s ms', ([header, ms, odd]) => {
  expect(retryAfter(header, NOW)).toEqual(ms === undefined ? undefined : { ms, isOdd: odd === 'odd' })
})

test.for<[string, number]>([
  [String(NOW / 1000 + 7), 7_000],
  [String(NOW / 1000 - 7), 1_000],
  [String(NOW), 3_600_000],
  ['9'.repeat(15), 3_600_000],
  ['-1', 1_000],
  ['1e12', 1_000],
  ['', 1_000],
])('a 429 with X-RateLimit-Reset "%s" alone holds for %i ms', ([reset, ms]) => {
  const answer = { status: 429, headers: { 'x-ratelimit-reset': reset }, text: '' }
  expect(readRateHeaders(answer, 'rate_limit_exceeded', NOW)).toEqual({ retryAfterMs: ms })
})

test('a Retry-After of 30 million years, met by a handler, leaves a delivery that can be read', async () => {
  const handlers = {
    revento: { 'application.approved': async ({ api }: HandlerContext) => void (await api.event()) },
  }
  const pair = await startPair({ handlers })
  const { client } = await connect(pair)
  pair.upstream.onApi = json(429, { error: 'rate_limit_exceeded' }, { 'retry-after': '9'.repeat(15) })
  const { body, headers } = signedDelivery()
  expect((await client.post(`${pair.app.url}/webhooks/revento`, body, headers)).status).toBe(200)
  const row = await until(() =>
    pair.app.database.query
      .selectFrom('inbox')
      .selectAll()
      .where('next_at', '>', Date.now())
      .where('state', '=', 'pending')
      .executeTakeFirst(),
  )
  expect(row.next_at - Date.now()).toBeLessThanOrEqual(HOUR_MS)
  const odd = pair.app.log.filter(({ msg }) => /Retry-After/.test(String(msg)))
  expect(odd).toMatchObject([{ level: 'error', part: 'api' }])
  expect((await client.get(`${pair.app.url}/deliveries`)).json<{ data: unknown[] }>().data).toHaveLength(1)
})

/** Each could be a path, a host or a file to whoever puts it into a URL without looking. */
const TRICKS = [
  '../../oauth/token',
  '..',
  'evt_x/../../../oauth/token',
  'evt_x%2f..%2ftoken',
  '/etc/passwd',
  '//HOST/',
  'http://HOST/',
  'https://evil/',
  'file:///etc/passwd',
  '169.254.169.254',
  'user@HOST',
  '\\\\HOST\\share',
  'evt_x?event=1#',
  'evt_x\r\nHost: HOST',
  'evt_x\0',
  `evt_${'x'.repeat(200)}`,
  '<img src=http://HOST/>',
]

test('ids and links in a webhook lead nowhere: nothing is asked of any host', async () => {
  const foreign = await hostileServer(() => http(200, '{}'))
  const refused: unknown[] = []
  const handlers = {
    revento: {
      'application.approved': async ({ api }: HandlerContext) => {
        const calls = [api.event(), api.participants({ cursor: 'http://HOST/' }), api.program()]
        const results = await Promise.allSettled(calls)
        refused.push(...results.map(result => (result.status === 'rejected' ? result.reason.code : 'called')))
      },
    },
  }
  const pair = await startPair({ handlers })
  pair.upstream.onToken = json(200, tokens({ scope: 'event.read participants.read program.read' }))
  const { client } = await connect(pair)
  pair.upstream.requests.length = 0
  const host = foreign.base.slice('http://'.length)
  const ids = TRICKS.map(id => id.replaceAll('HOST', host))
  const statuses: number[] = []
  for (const [n, id] of ids.entries()) {
    const links = { url: foreign.base, avatar_url: `//${host}/a.png`, callback: 'http://169.254.169.254/' }
    // With the organization of the connection, and with one that is a trick too.
    const event = { id: `evt_delivery_${n}`, event_id: id, organization_id: n % 2 ? id : 'org_test_formal' }
    const { body, headers } = signedDelivery({ event: { ...event, data: { ...links, participant_id: id } } })
    statuses.push((await client.post(`${pair.app.url}/webhooks/revento`, body, headers)).status)
  }
  // What is no visible text of 200 characters at most is refused; the rest is an id until it is put to use.
  const stored = statuses.filter(status => status === 200).length
  expect([stored, new Set(statuses)]).toEqual([13, new Set([200, 400])])
  await until(() => refused.length === 3 * stored)
  expect(new Set(refused)).toEqual(new Set(['invalid_event_id']))
  expect(pair.upstream.requests).toEqual([])
  expect(foreign.connections()).toBe(0)
  // The same handler with an id that is one.
  const { body, headers } = signedDelivery({ event: { event_id: EVENT, organization_id: 'org_test_formal' } })
  await client.post(`${pair.app.url}/webhooks/revento`, body, headers)
  await until(() => pair.upstream.apiRequests().length === 3)
})
