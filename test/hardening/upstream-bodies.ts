import { emptyPage, tokens } from '../helpers/upstream.ts'
import { UPSTREAM_TEXT } from '../oauth/harness.ts'
import type { Wire } from './hostile-server.ts'
import { http } from './upstream-wires.ts'

/** Answers with status 200 whose content is what is wrong. `event`: which one was asked for. */
export type Rows = Readonly<Record<string, (event: string) => Wire>>

const pair = (event: string, change: Record<string, unknown>) =>
  JSON.stringify(
    tokens({
      event_id: event,
      access_token: `next-access-of-${event}`,
      refresh_token: `next-refresh-of-${event}`,
      note: UPSTREAM_TEXT,
      ...change,
    }),
  )
const withTokens = (change: Record<string, unknown>) => (event: string) => http(200, pair(event, change))

const UNUSABLE_TOKENS = {
  'with a line break': 'a\r\nX-Injected: 1',
  'with a space': 'a b',
  'with NUL': 'a\0b',
  'beyond ASCII': 'tök€n',
  'of half a character': 'a\ud800',
  'of 5,000 characters': 'a'.repeat(5_000),
  'that is empty': '',
  'that is a list': ['a'],
  'that is true': true,
}
const UNUSABLE_IDS = {
  'with a path': '../../oauth/token',
  'with an encoded path': '%2e%2e%2ftoken',
  'with a host': '//foreign/',
  'with a URL': 'https://foreign/',
  'with a query': 'evt_1?x=1',
  'with a line break': 'evt_1\r\nHost: foreign',
  'with NUL': 'evt_1\0',
  'of 200 characters': 'e'.repeat(200),
  'that is null': null,
  'that is an object': { toString: 'evt_1' },
}

const each = (member: string, values: Record<string, unknown>) =>
  Object.entries(values).map(
    ([name, value]) => [`${member} ${name}`, withTokens({ [member]: value })] as const,
  )

/** No connection may come of these; a refresh has what they lack. */
export const unusableAtFirst: Rows = Object.fromEntries([
  ...each('refresh_token', UNUSABLE_TOKENS),
  ...each('event_id', UNUSABLE_IDS),
  ...each('organization_id', UNUSABLE_IDS),
])

/** No pair of tokens may come of these. */
export const unusableTokens: Rows = {
  ...Object.fromEntries([
    ...each('access_token', UNUSABLE_TOKENS),
    ...each('token_type', { 'of another kind': 'DPoP', 'that is a list': ['Bearer'] }),
  ]),
  'members inherited from __proto__': event => http(200, `{"__proto__":${pair(event, {})}}`),
  'members of a list': event => http(200, `[${pair(event, {})}]`),
  'members a level down': event => http(200, `{"data":${pair(event, {})}}`),
  'members in a text': event => http(200, JSON.stringify(pair(event, {}))),
  'members in a form': event => http(200, `access_token=a&refresh_token=r&event_id=${event}`),
}

/** These are odd, and the tokens are good. */
export const usableTokens: Rows = {
  'a scope with NUL and half a character': withTokens({ scope: 'event.read\0 \ud800' }),
  'a scope of 100 kB': withTokens({ scope: 'x'.repeat(100_000) }),
  'a scope that is a list': withTokens({ scope: ['event.read'] }),
  'details that are no list': withTokens({ authorization_details: 'x', id_token: 7 }),
  'a scope of HTML': withTokens({ scope: '"><script>' }),
  'a lifetime of minus one': withTokens({ expires_in: -1, refresh_expires_in: -1 }),
  'a lifetime of ages': withTokens({ expires_in: 1e308, refresh_expires_in: 1e308 }),
  'a lifetime in words': withTokens({ expires_in: 'NaN', refresh_expires_in: '1e9' }),
  'a lifetime that is an object': withTokens({ expires_in: {}, refresh_expires_in: [] }),
  'a token type in capitals': withTokens({ token_type: 'BEARER' }),
  'a __proto__ of its own': event =>
    http(200, pair(event, {}).replace('{', '{"__proto__":{"event_id":"evt_x"},"constructor":1,')),
  'a member twice': event => http(200, pair(event, {}).replace('{', '{"event_id":"evt_other",')),
  'a content type of HTML': event => http(200, pair(event, {}), { 'content-type': 'text/html' }),
  'cookies, and links elsewhere': event =>
    http(200, pair(event, {}), {
      'set-cookie': `upstream=${UPSTREAM_TEXT}; Domain=localhost`,
      link: '<http://foreign/>; rel=preload',
      'clear-site-data': '"*"',
      'access-control-allow-origin': '*',
    }),
}

const page = (change: Record<string, unknown>) => () => http(200, JSON.stringify({ ...emptyPage, ...change }))
const deep = '['.repeat(100_000) + ']'.repeat(100_000)

/** No page: the caller hears that Revento gave no usable answer. */
export const unusablePages: Rows = {
  'a page that is null': () => http(200, 'null'),
  'a page that is a list': () => http(200, '[]'),
  'rows that are no list': page({ data: { 0: {} } }),
  'rows that are texts': page({ data: ['evt'] }),
  'rows that are lists': page({ data: [[]] }),
  'rows inherited from __proto__': () => http(200, '{"__proto__":{"data":[],"has_more":false}}'),
  'a cursor that is a number': page({ next_cursor: 1 }),
  'a cursor of 100 kB': page({ next_cursor: 'c'.repeat(100_000), has_more: true }),
  'has_more that is a text': page({ has_more: 'false' }),
  'a row of 100,000 levels': () => http(200, `{"data":[{"a":${deep}}],"next_cursor":null,"has_more":false}`),
  'an error with status 200': () => http(200, '{"error":"token_expired"}'),
}

/** Odd, and passed on as data. */
export const usablePages: Rows = {
  'a row with __proto__': () =>
    http(200, '{"data":[{"__proto__":{"admin":true},"id":"ptp_1"}],"next_cursor":null,"has_more":false}'),
  'a cursor with a path and a line break': page({
    next_cursor: '../../token\r\nHost: foreign',
    has_more: true,
  }),
  'ids with a path': page({ data: [{ id: '../../token', url: 'http://169.254.169.254/' }] }),
}
