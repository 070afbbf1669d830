import { randomBytes } from 'node:crypto'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { handlers } from '../../src/integration/handlers/index.ts'
import { shippedProviders as providers } from '../../src/webhooks/providers/index.ts'
import { WEBHOOK_SECRET } from '../helpers/secrets.ts'
import { SENDERS_ENV, secretOf, signedAs, VERIFY_TOKEN } from '../helpers/senders.ts'
import { until } from '../helpers/wait.ts'
import { envelope, signedDelivery } from '../helpers/webhook.ts'
import { type Receiver, startReceiver } from '../webhooks/harness.ts'

/** With the handlers that are shipped: what is stored of a body has to suit both databases. */
let app: Receiver
beforeAll(async () => {
  app = await startReceiver({ env: SENDERS_ENV, handlers })
})
afterAll(() => app.close())
afterEach(async () => {
  // Above 40: an error. A handler that met what it cannot store would have left a dead delivery, or one that waits.
  const states = await until(async () => {
    const rows = await inbox().select('state').execute()
    return rows.every(({ state }) => state !== 'running' && state !== 'pending') && rows.map(row => row.state)
  })
  expect(states.filter(state => state === 'dead')).toEqual([])
  expect(app.log.filter(line => line['level'] === 'error')).toEqual([])
  expect(Object.keys(Object.prototype)).toEqual([])
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
})

/** Without the bodies of all others, which are large here. */
const inbox = () => app.database.query.selectFrom('inbox')
const count = async () => (await inbox().select('id').execute()).length
const newest = () => inbox().selectAll().orderBy('id', 'desc').limit(1).executeTakeFirstOrThrow()

const DEPTH = 100_000
const deep = (open: string, close: string, inside = '') => open.repeat(DEPTH) + inside + close.repeat(DEPTH)
/** An envelope with these bytes as its data, not as JSON.stringify would write them. */
const withData = (data: string, change = {}) =>
  JSON.stringify(envelope({ ...change, data: 0 })).replace(/0}$/, `${data}}`)
const inText = (text: string) =>
  withData(`{"participant_id":"ptp_1${text}","name":"${text}","list":["${text}"]}`)
const member = (name: string, json: string) => {
  const { [name]: _, ...others } = envelope() as Record<string, unknown>
  return `${JSON.stringify(others).slice(0, -1)},"${name}":${json}}`
}

const STORED: [string, string][] = [
  ['100,000 brackets', withData(`{"a":${deep('[', ']')}}`)],
  ['20,000 objects in one another', withData(`{"a":${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}}`)],
  ['15,000 members', withData(`{${Array.from({ length: 15_000 }, (_, i) => `"k${i}":${i}`).join()}}`)],
  ['members that are numbers', withData('{"0":1,"4294967294":2,"-1":3,"1e9":4,"0x1":5}')],
  ['100,000 zeros', withData(`{"a":[${Array(100_000).fill(0).join()}]}`)],
  ['a text of 200 KB', withData(`{"name":"${'é'.repeat(100_000)}"}`)],
  ['30,000 escapes', withData(`{"name":"${'\\u0000'.repeat(30_000)}"}`)],
  ['a member twice', withData('{"participant_id":"a","participant_id":"b"}')],
  ['the type twice', member('type', '"activity.updated","type":"application.approved"')],
  ['__proto__ beside the members', member('data', '{},"__proto__":{"polluted":1}')],
  ['__proto__ in data', withData('{"__proto__":{"polluted":1,"participant_id":"ptp_1"}}')],
  [
    'constructor in data',
    withData('{"constructor":{"prototype":{"polluted":1}},"participant_id":"__proto__"}'),
  ],
  ['prototype in data', withData('{"prototype":{"polluted":1},"toString":1,"valueOf":null,"then":1}')],
  ['names of Object as ids', member('event_id', '"__proto__"')],
  ['half a surrogate pair in texts', inText('\\ud800')],
  ['the other half', inText('\\udc00 \\udfff')],
  ['both in the wrong order', inText('\\udc00\\ud800')],
  ['NUL in texts', inText('\\u0000')],
  ['control characters', inText('\\u0001\\u001f\\u007f\\u0085')],
  ['what is no character', inText('\\ufffe\\uffff\\ufffd\\u2028\\u202e')],
  ['NUL as the name of a member', withData('{"\\u0000":1,"":2,"\\ud800":3}')],
  ['a pair cut by a limit', withData(`{"participant_id":"ptp_2","name":"${'a'.repeat(199)}🎲"}`)],
  ['NUL in the time', member('occurred_at', '"2026\\u0000"')],
  ['half a pair in the time', member('occurred_at', '"\\ud800"')],
  ['200 KB as the time', member('occurred_at', `"${'('.repeat(200_000)}"`)],
  ['numbers beyond', withData('{"a":1e999,"b":-0,"c":-1e999,"d":1E-999,"e":0.1e1}')],
  ['an integer of 1,000 digits', withData(`{"participant_id":${'9'.repeat(1_000)}}`)],
  ['spaces around', ` \t\r\n${JSON.stringify(envelope())}\r\n\t `],
]
test.each(STORED)('stored as it came, and handled: %s', async (_, body) => {
  expect(await app.send({ body })).toMatchObject({ status: 200, text: 'ok' })
  expect(Buffer.from((await newest()).body ?? []).equals(Buffer.from(body))).toBe(true)
})

const json = JSON.stringify(envelope())
const INVALID_JSON: [string, Buffer | string][] = [
  ['100,000 brackets that do not end', '['.repeat(DEPTH)],
  ['60,000 objects that do not end', '{"":'.repeat(60_000)],
  ['a comma too many', `${json.slice(0, -1)},}`],
  ['a text that does not end', json.slice(0, -3)],
  ['a bare NUL in a text', json.replace('app_1', 'a\0')],
  ['a NUL behind', `${json}\0`],
  ['a bare line break in a text', json.replace('app_1', 'a\nb')],
  ['half an escape', json.replace('app_1', '\\ud8')],
  ['Infinity', json.replace('"app_1"', 'Infinity')],
  ['a number with a zero before', json.replace('"app_1"', '01')],
  ['a hexadecimal number', json.replace('"app_1"', '0x1')],
  ['single quotes', json.replaceAll('"', "'")],
  ['an overlong slash', latin(json.replace('app_1', '\xc0\xaf'))],
  ['a surrogate in UTF-8', latin(json.replace('app_1', '\xed\xa0\x80'))],
  ['more than Unicode has', latin(json.replace('app_1', '\xf5\x80\x80\x80'))],
  ['a character cut off', latin(`${json.slice(0, -1)}\xe2\x82`)],
  ['a continuation byte alone', latin(json.replace('app_1', '\x80'))],
  ['a byte order mark', `\ufeff${json}`],
  ['UTF-16 with its mark', Buffer.from(`\ufeff${json}`, 'utf16le')],
  ['UTF-16 the other way round', Buffer.from(`\ufeff${json}`, 'utf16le').swap16()],
  ['UTF-32', Buffer.concat([...json].map(c => Buffer.of(c.charCodeAt(0), 0, 0, 0)))],
  ['random bytes', randomBytes(10_000)],
  ['gzip', gzipSync(json)],
  ['deflate', deflateSync(json)],
  ['brotli', brotliCompressSync(json)],
  ['gzip of 100 MB', gzipSync(Buffer.alloc(100_000_000, ' '))],
  ['brotli of 100 MB', brotliCompressSync(Buffer.alloc(100_000_000, ' '))],
]
function latin(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}
const ENCODINGS: Record<string, string> = { gzip: 'gzip', deflate: 'deflate', brotli: 'br' }

test.each(INVALID_JSON)('invalid_json, not undone and not stored: %s', async (what, body) => {
  const before = await count()
  const encoding = ENCODINGS[what.split(' ')[0] ?? '']
  const headers = encoding ? { headers: { 'content-encoding': encoding } } : {}
  const answer = await app.send({ body, ...headers })
  expect([answer.status, JSON.parse(answer.text).error]).toEqual([400, 'invalid_json'])
  expect(await count()).toBe(before)
})

const NAMES = [
  '"a\\u0000"',
  '"\\ud800"',
  '"\\udfff"',
  '"é"',
  '"\\u2028"',
  '1e999',
  '-0',
  '[]',
  '{"__proto__":1}',
  'true',
]
const INVALID_PAYLOAD: [string, string][] = [
  ['100,000 brackets', deep('[', ']')],
  ['ids only under __proto__', `{"__proto__":${json}}`],
  ['ids only under constructor', `{"constructor":{"prototype":${json}}}`],
  ...['id', 'type', 'event_id', 'organization_id'].flatMap(name =>
    NAMES.map((value): [string, string] => [`${value} as ${name}`, member(name, value)]),
  ),
  ['a good id before a bad one', member('id', '"good","id":"a\\u0000"')],
]
test.each(INVALID_PAYLOAD)('invalid_payload, and not stored: %s', async (_, body) => {
  const before = await count()
  const answer = await app.send({ body })
  expect([answer.status, JSON.parse(answer.text).error]).toEqual([400, 'invalid_payload'])
  expect(await count()).toBe(before)
})

/** Each other sender: what its document lets through is stored as it came, and nothing is answered 500. */
test('what other senders sign', async () => {
  const bodies = [...STORED, ...INVALID_JSON].map(([, body]) => Buffer.from(body))
  const known = new Set<string>()
  for (const provider of providers.filter(({ name }) => name !== 'revento')) {
    const own = ['event_id', 'event_type', 'idempotency_key', 'event', 'type'].flatMap(name =>
      NAMES.map(value => Buffer.from(`{"event_id":"e","event_type":"player.verify","${name}":${value}}`)),
    )
    for (const body of [...bodies, ...own]) {
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
  // The last one is what the shipped handler says of an unknown player.
  expect([...known].sort()).toEqual(['200 ', '400 invalid_json', '400 invalid_payload', '404 '])
  await fetch(`${app.url}/webhooks/handshake?verify_token=${VERIFY_TOKEN}`)
  for (const [what, body] of [...STORED, ...INVALID_JSON]) {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${app.url}/webhooks/handshake`, {
      method: 'POST',
      headers,
      body: Buffer.from(body),
    })
    expect(answer.status, what).toBe(STORED.some(([stored]) => stored === what) ? 200 : 400)
  }
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
