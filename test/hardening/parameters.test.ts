// part: senders
import { afterAll, beforeAll, expect, test } from 'vitest'
import { sessionCookie } from '../helpers/client.ts'
import { cookieOf, MARKER, request, type Surface, startSurface } from './surface.ts'
import { type Row, sweep } from './sweep.ts'

let surface: Surface
let cookie = ''
beforeAll(async () => {
  surface = await startSurface()
  cookie = `Cookie: ${cookieOf(surface)}`
})
afterAll(() => surface.close())

const HTML = 'Accept: text/html'
const CRLF = `%0d%0aSet-Cookie:%20${MARKER}=1%0d%0a%0d%0a<script>`
/** A percent sign alone, and bytes that are not UTF-8: overlong, half a surrogate pair, cut off. */
const MALFORMED = ['%', '%2', '%zz', '%u0041', '%c0%af', '%ff', '%ed%a0%80', '%e2%82', '%00%', '%ef%bf%bd']

/** Returns a row for a script and one for a browser, with the same code in either shape. */
const both = (what: string, start: string, answer: string, lines: string[] = [], body = ''): Row[] => [
  [what, request(start, lines, body), answer],
  [`${what}, for a browser`, request(start, [...lines, HTML], body), answer],
]
const get = (target: string, answer: string, ...lines: string[]) =>
  both(`GET ${target.slice(0, 90)}`, `GET ${target} HTTP/1.1`, answer, lines)

test('queries', async () => {
  const state = 'A'.repeat(43)
  const [invalidId, invalid] = ['400 invalid_event_id', '400 invalid_request']
  const unreadable = [...MALFORMED.map(bad => `x=${bad}`), ...MALFORMED.map(bad => `${bad}=x`)]
  const twice = ['x=1&x=2', 'x&x', 'x=1&%78=2', '=1&=2']
  const asks = surface.upstream.requests.length
  await sweep(surface, [
    ...[...unreadable, ...twice].flatMap(query => [
      ...get(`/connect?${query}`, invalidId),
      ...get(`/callback?code=c&state=${state}&${query}`, invalid),
      ...get(`/participants?event_id=evt_test_published&${query}`, invalid, cookie),
    ]),
    ...['event_id=a&event_id=b', 'event_id=a&event%5fid=a'].flatMap(query =>
      get(`/connect?${query}`, invalidId),
    ),
    ...[
      '',
      '.',
      '..',
      'a/b',
      'a%2fb',
      'a%00',
      '%00',
      'a%20b',
      'a+b',
      CRLF,
      '%f0%9f%8e%b2',
      'a'.repeat(129),
    ].flatMap(id => [
      ...get(`/connect?event_id=${id}`, invalidId),
      ...get(`/participants?event_id=${id}`, '404 not_found', cookie),
      ...get(`/participants?event_id=${id}`, '401 unauthenticated'),
      ...get(`/disconnect?event_id=${id}&organization_id=${id}`, '404 not_found', cookie), // part: page
    ]),
    ...get('/callback', '400 state_missing'),
    ...get('/callback?state=', '400 state_missing'),
    ...['', CRLF, '%00', `${MARKER}%0a`, 'a'.repeat(2_049), '%e2%82%ac'].flatMap(code =>
      get(`/callback?state=${state}&code=${code}`, invalid),
    ),
    ...[CRLF, '%00', '__proto__', 'a'.repeat(10_000), '../', state].flatMap(text => [
      ...get(`/callback?code=c&state=${text}`, '400 state_mismatch'),
      ...get(`/callback?error=${MARKER}&state=${text}`, '400 state_mismatch'),
    ]),
    ...get(`/callback?error=access_denied&error_description=${CRLF}`, '400 access_denied'),
    ...get(`/callback?code=c&error=access_denied&state=${state}`, invalid),
    ...['', '0', '51', '-1', '1e1', '01x', '%00', '0x1', '1.0', ' 1', '%31%30%30', '１'].flatMap(limit =>
      get(`/participants?event_id=evt_test_published&limit=${encodeURIComponent(limit)}`, invalid, cookie),
    ),
    ...get(`/participants?__proto__=polluted&constructor=${MARKER}`, '404 not_found', cookie),
    ...get(`/participants?${'a&'.repeat(7_000)}`, invalid, cookie),
    ...both('an address that has shown no token', 'POST /webhooks/handshake HTTP/1.1', '401'),
    ...get('/webhooks/handshake?verify_token=a&verify_token=b', '401'),
    ...get(`/webhooks/handshake?verify_token=${CRLF}`, '401'),
    ...get('/webhooks/handshake?verify_token=%zz', '401'),
    ...get('/webhooks/handshake?verify_token[]=a', '401'),
  ])
  expect(surface.upstream.requests.slice(asks)).toEqual([])
})

test('what leaves in a redirect or in a call is coded, and goes nowhere else', async () => {
  const elsewhere = (target: string, answer: string): Row => [
    target,
    `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n`,
    answer,
  ]
  const asks = surface.upstream.requests.length
  await sweep(surface, [
    elsewhere(`/?x=${CRLF}`, '302'),
    elsewhere(`/connect?event_id=${CRLF}`, '302'),
    elsewhere(`/connect?x=//stranger.example`, '302'),
    elsewhere('//stranger.example/', '404 not_found'),
    elsewhere('/\\stranger.example/', '404 not_found'),
    elsewhere('/@stranger.example', '404 not_found'),
    elsewhere('http://stranger.example/', '200'),
    // The default one: an unknown name is no event.
    ...get(`/connect?x=${CRLF}`, '302').slice(0, 1),
    ...get(`/connect?event_id[]=${MARKER}`, '302').slice(0, 1),
    ...['__proto__', 'constructor', '-', 'a'.repeat(128)].flatMap(id =>
      get(`/connect?event_id=${id}`, '302'),
    ),
    ...[CRLF, '%00', '../../me/profile', '%26limit=1', '%23'].flatMap(cursor =>
      get(`/participants?event_id=evt_test_published&cursor=${cursor}`, '200', cookie),
    ),
  ])
  const calls = surface.upstream.requests.slice(asks)
  expect(calls).toHaveLength(10)
  for (const { path, query, headers } of calls) {
    expect(path).toBe('/api/v1/events/evt_test_published/participants')
    expect([...query.keys()]).toEqual(['cursor'])
    expect(JSON.stringify(headers)).not.toContain(MARKER)
  }
})

test('forms', async () => {
  const { origin } = surface.app.config
  const asForm = 'Content-Type: application/x-www-form-urlencoded'
  const token = `form_token=${encodeURIComponent(surface.formToken)}`
  const ours = 'event_id=evt_test_published&organization_id=org_test_formal'
  const post = (path: string, body: string, answer: string, lines = [asForm]) =>
    both(
      `POST ${path} ${body.slice(0, 60)} ${lines[0]}`,
      `POST ${path} HTTP/1.1`,
      answer,
      [...lines, cookie, `Origin: ${origin}`, `Content-Length: ${Buffer.byteLength(body, 'latin1')}`],
      body,
    )
  const rejected = '403 form_rejected'
  const types = ['application/json', 'multipart/form-data; boundary=x', 'text/plain', 'x', 'application/xml']
  const odd = [
    '',
    'form_token',
    'form_token=',
    `${token}&${token}`,
    `${token}&form_token=`,
    `form_token[]=${surface.formToken}`,
    `form_token[a]=${surface.formToken}`,
    `__proto__=${surface.formToken}`,
    `__proto__[form_token]=${surface.formToken}`,
    `FORM_TOKEN=${surface.formToken}`,
    `${token};x=1`,
    `${token}%00`,
    ` ${token}`,
    ...MALFORMED.map(bad => `form_token=${bad}`),
    'form_token=\xff\xfe\0',
    'a&'.repeat(2_000),
  ]
  await sweep(surface, [
    ...['/logout', '/disconnect', '/deliveries/1/replay'].flatMap(path => [
      ...odd.flatMap(body => post(path, body, rejected)),
      ...types.flatMap(type => post(path, token, '415 unsupported_media_type', [`Content-Type: ${type}`])),
      ...post(path, `${token}&x=${'a'.repeat(4_096)}`, '413 payload_too_large'),
    ]),
    ...[`${ours}&${ours}`, 'event_id=%00&organization_id=%00', `event_id=${CRLF}`, '__proto__=x', ''].flatMap(
      body => post('/disconnect', `${token}&${body}`, '404 not_found'),
    ),
    ...['0', '-1', '1e3', '01', '%00', '1%00', CRLF, '9'.repeat(15), '__proto__', '1%20', '１'].flatMap(
      id => {
        const path = `/deliveries/${/^[\x20-\x7e]*$/.test(id) ? id : encodeURIComponent(id)}`
        return [...post(`${path}/replay`, token, '404 not_found'), ...get(path, '404 not_found', cookie)]
      },
    ),
    ...get(`/deliveries/${'1'.repeat(101)}`, '400 bad_request', cookie),
  ])
  const page = await surface.client.get(`${surface.app.url}/deliveries`)
  expect(page.status).toBe(200)
})

test('cookies', async () => {
  const { name, value } = sessionCookie(surface.client)
  const asked = (given: string, answer: string): Row => [
    given.slice(0, 90),
    request('GET /deliveries HTTP/1.1', [given]),
    answer,
  ]
  const refused = '401 unauthenticated'
  await sweep(surface, [
    asked(cookie, '200'),
    asked(`${cookie}; __proto__=polluted; constructor=x; x=%zz; =; ;;; "`, '200'),
    asked(`Cookie: ${'a=b;'.repeat(2_000)} ${name}=${value}`, '200'),
    ...[
      '',
      value.slice(1),
      `${value}a`,
      `${value}%00`,
      ` ${value.toLowerCase()}`,
      '__proto__',
      '%zz',
      '%ff',
      '\xff',
    ].map(other => asked(`Cookie: ${name}=${other}`, refused)),
    asked(`Cookie: ${name}=${'A'.repeat(12_000)}`, refused),
    asked(`Cookie: ${name.toUpperCase()}=${value}`, refused),
    asked(`Cookie: ${name}%00=${value}`, refused),
    asked(`Cookie: __proto__=${value}`, refused),
    // The first of two counts, whoever set the second.
    asked(`Cookie: ${name}=${'A'.repeat(43)}; ${name}=${value}`, refused),
    ...['__proto__', 'flow_', MARKER].map(
      (other): Row => [
        `callback with ${other}`,
        request(`GET /callback?code=c&state=${'B'.repeat(43)} HTTP/1.1`, [`Cookie: ${other}=${MARKER}%zz`]),
        '400 state_mismatch',
      ],
    ),
  ])
})
