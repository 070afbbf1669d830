import { randomBytes } from 'node:crypto'
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib'
import { envelope } from '../helpers/webhook.ts'

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

export const STORED: [string, string][] = [
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
const json = JSON.stringify(envelope())
export const INVALID_JSON: [string, Buffer | string][] = [
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
  ['gzip of 10 MB', gzipSync(Buffer.alloc(10_000_000, ' '))],
  ['brotli of 10 MB', brotliCompressSync(Buffer.alloc(10_000_000, ' '))],
]
function latin(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}
export const NAMES = [
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
export const INVALID_PAYLOAD: [string, string][] = [
  ['100,000 brackets', deep('[', ']')],
  ['ids only under __proto__', `{"__proto__":${json}}`],
  ['ids only under constructor', `{"constructor":{"prototype":${json}}}`],
  ...['id', 'type', 'event_id', 'organization_id'].flatMap(name =>
    NAMES.map((value): [string, string] => [`${value} as ${name}`, member(name, value)]),
  ),
  ['a good id before a bad one', member('id', '"good","id":"a\\u0000"')],
]
