import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { EVENT_TYPES } from '../../src/revento/platform.ts'
import { providers } from '../../src/webhooks/providers/index.ts'
import { rounds } from '../helpers/rounds.ts'
import { WEBHOOK_SECRET } from '../helpers/secrets.ts'
import { secretOf, signedAs } from '../helpers/senders.ts'
import { exchange } from './raw.ts'
import { cookieOf, judge, judgeAfter, MARKER, routesOf, type Surface, startSurface } from './surface.ts'

/**
 * Any method, path, query, headers, cookies and body, as raw bytes against the running app. A failure prints the seed and
 * the smallest case. ROUNDS=200 in the environment tries 20,000.
 */
const RUNS = rounds(100)

let surface: Surface
beforeAll(async () => {
  surface = await startSurface()
})
afterAll(() => surface.close())

/** What may stand in a header or a request line without ending it; now and then what may not. */
const visible = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x7e }).map(code => String.fromCharCode(code)),
})
const latin = fc.string({ unit: fc.integer({ min: 0, max: 0xff }).map(code => String.fromCharCode(code)) })
const nasty = fc.constantFrom(
  '%',
  '%00',
  '%0d%0a',
  '%2e%2e',
  '%2f',
  '%c0%af',
  '%ff',
  '%zz',
  '..',
  '//',
  '/./',
  '\\',
  ';',
  '#',
  '?',
  '\r\n',
  '\n',
  '\0',
  '\t',
  '\x7f',
  '\xe9',
  '__proto__',
  'constructor',
  '[]',
  "'",
  '"',
  '<script>',
  '{{7*7}}',
  ',',
  ', ',
  '=',
  '&',
)
const text = fc
  .oneof({ weight: 3, arbitrary: visible }, { weight: 1, arbitrary: latin }, { weight: 3, arbitrary: nasty })
  .map(some => some + MARKER)

const method = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.constantFrom('GET', 'POST', 'HEAD', 'OPTIONS', 'PUT', 'DELETE', 'PATCH', 'TRACE'),
  },
  { weight: 1, arbitrary: fc.constantFrom('CONNECT', 'QUERY', 'PROPFIND', 'get', 'FROB', 'PRI', '') },
)

interface Change {
  at: number
  remove: number
  insert: string
}
const changes = fc.array(
  fc.record({ at: fc.nat(400), remove: fc.nat(3), insert: fc.oneof(nasty, visible, fc.constant('')) }),
  { maxLength: 2 },
)
const changed = (original: string, list: readonly Change[]) =>
  list.reduce((bytes, { at, remove, insert }) => {
    const place = at % (bytes.length + 1)
    return bytes.slice(0, place) + insert + bytes.slice(place + remove)
  }, original)

const PARAMETERS = [
  'event_id',
  'organization_id',
  'code',
  'state',
  'error',
  'cursor',
  'limit',
  'verify_token',
  'have',
]
const values = fc.oneof(text, fc.constantFrom('evt_test_published', 'org_test_formal', '1', 'access_denied'))
const query = fc
  .array(
    fc.tuple(
      fc.oneof(fc.constantFrom(...PARAMETERS), text),
      values,
      fc.constantFrom(true, true, true, true, false),
    ),
    { maxLength: 4 },
  )
  .map(list =>
    list
      .map(([name, value, isCoded]) =>
        isCoded ? `${encodeURIComponent(name)}=${encodeURIComponent(value)}` : `${name}=${value}`,
      )
      .join('&'),
  )

const NAMES = [
  ...providers.flatMap(({ signature, timestamp, deliveryIdHeader }) => [
    signature.header,
    timestamp?.header,
    deliveryIdHeader,
  ]),
  ...[
    'Accept',
    'Content-Type',
    'Cookie',
    'Origin',
    'Sec-Fetch-Site',
    'Last-Event-ID',
    'traceparent',
    'X-Forwarded-For',
  ],
  ...[
    'X-Forwarded-Host',
    'Expect',
    'Upgrade',
    'Range',
    'Content-Encoding',
    'X-HTTP-Method-Override',
    '__proto__',
  ],
  ...['Host', 'Transfer-Encoding', 'Content-Length', 'Connection', 'TE', 'Trailer'],
].filter(name => name !== undefined)
const header = fc
  .tuple(
    fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...NAMES) }, { weight: 1, arbitrary: text }),
    values,
  )
  .map(([name, value]) => `${name}: ${value}`)
const FINE = [
  'Accept: text/html',
  'Accept: application/json',
  'Content-Type: application/json',
  'Connection: keep-alive',
]
const lines = fc.array(
  fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...FINE, 'Content-Type: application/x-www-form-urlencoded') },
    { weight: 1, arbitrary: header },
  ),
  { maxLength: 5 },
)

const envelope = fc.record({
  id: fc.uuid(),
  type: fc.constantFrom(...EVENT_TYPES),
  occurred_at: fc.string(),
  event_id: fc.constantFrom(null, 'evt_1'),
  organization_id: fc.constantFrom(null, 'org_1'),
  data: fc.dictionary(fc.string(), fc.jsonValue()),
  event_id_of: fc.constant(MARKER),
})
const body = fc
  .oneof(
    { weight: 2, arbitrary: fc.constant('') },
    { weight: 3, arbitrary: envelope.map(value => JSON.stringify(value)) },
    { weight: 1, arbitrary: fc.jsonValue().map(value => JSON.stringify(value)) },
    { weight: 1, arbitrary: query },
    { weight: 1, arbitrary: latin },
  )
  .map(some => Buffer.from(some))

/** `as`: rightly signed as this provider signs, and sent to it. */
const attempt = fc.record({
  // None: one that the route has.
  method: fc.option(method, { freq: 2 }),
  route: fc.nat(),
  as: fc.option(fc.constantFrom(...providers), { freq: 2 }),
  pathChanges: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: changes }),
  query,
  lines,
  withSession: fc.boolean(),
  body,
  framing: fc.constantFrom('length', 'length', 'chunks', 'none'),
  byteChanges: fc.oneof({ weight: 8, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: changes }),
})
type Attempt = typeof attempt extends fc.Arbitrary<infer T> ? T : never

function write(a: Attempt): string {
  const routes = routesOf(surface)
  const { path: pattern = '/', methods: [own = 'GET'] = [] } = routes[a.route % routes.length] ?? {}
  const route = pattern.replace(':id', '1')
  const path = a.as ? `/webhooks/${a.as.name}` : changed(route, a.pathChanges)
  const secret = a.as?.name === 'revento' ? WEBHOOK_SECRET : a.as && secretOf(a.as)
  const signed =
    a.as && secret !== null
      ? signedAs(a.as, { body: a.body, secret: secret ?? '', at: surface.now() }).headers
      : {}
  const framing = {
    length: [`Content-Length: ${a.body.length}`],
    chunks: ['Transfer-Encoding: chunked'],
    none: [],
  }[a.framing]
  const head = [
    `${a.as ? 'POST' : (a.method ?? own)} ${path}${a.query ? `?${a.query}` : ''} HTTP/1.1`,
    'Host: app.test',
    ...Object.entries(signed).map(([name, value]) => `${name}: ${value}`),
    ...(a.withSession ? [`Cookie: ${cookieOf(surface)}`] : []),
    ...framing,
    ...a.lines,
  ]
  const chunk = a.body.length > 0 ? `${a.body.length.toString(16)}\r\n${a.body.toString('latin1')}\r\n` : ''
  const content =
    a.framing === 'chunks' ? `${chunk}0\r\n\r\n` : a.framing === 'length' ? a.body.toString('latin1') : ''
  return changed(`${head.join('\r\n')}\r\n\r\n${content}`, a.byteChanges)
}

/** Completes what is not complete, and is no request: so the app ends the connection, whatever came before. */
const END = '\r\n\r\n\0\r\n\r\n'

test(`${RUNS} requests of any bytes`, async () => {
  const statuses: Record<number, number> = {}
  let [rows, slowest] = [await surface.rows(), 0]
  const sent = async (a: Attempt) => {
    const startedAt = performance.now()
    const { answers } = await exchange(surface.port, write(a) + END, Number.POSITIVE_INFINITY, 2_000)
    slowest = Math.max(slowest, performance.now() - startedAt)
    expect(answers.length).toBeGreaterThan(0)
    for (const answer of answers) {
      statuses[answer.status] = (statuses[answer.status] ?? 0) + 1
      judge(answer, surface, 'any bytes')
    }
    const now = await surface.rows()
    // What was not rightly signed is never stored; what was, only where it was answered so.
    if (now > rows) {
      expect(a.as).not.toBeNull()
      expect(answers.some(({ status }) => status >= 200 && status < 300)).toBe(true)
    }
    rows = now
    // A minute's budget of Revento's API, and of /connect, is not what is tried here. What wakes then has its turn first.
    surface.pass(5_000)
    await new Promise(resolve => setImmediate(resolve))
  }
  await fc.assert(fc.asyncProperty(attempt, sent), { numRuns: RUNS })
  await judgeAfter(surface, rows)
  console.log(
    `${RUNS} requests, the slowest took ${slowest.toFixed(0)} ms, ${rows} stored, answers:`,
    statuses,
  )
  expect(rows).toBeGreaterThan(0)
}, 3_600_000)
