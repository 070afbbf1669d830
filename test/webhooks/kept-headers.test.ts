import { expect, test } from 'vitest'
import { keptHeaders } from '../../src/webhooks/kept-headers.ts'
import { revento } from '../../src/webhooks/providers/revento.ts'

const AT = 1_764_460_800_000
const about = { type: 'application.approved', receivedAt: AT }
const USUAL = {
  'content-type': 'application/json',
  'x-revento-event': 'application.approved',
  'x-revento-timestamp': String(AT / 1000 - 5),
  'x-revento-delivery-id': 'd-1',
  'x-revento-signature': 'sha256=0123',
  authorization: 'Bearer secret',
  cookie: 'a=secret',
  'x-forwarded-for': '203.0.113.7',
  'x-api-key': 'secret',
}

test('nothing is kept of what is as documented, nor of what may be a secret or an address', () => {
  expect(keptHeaders(revento, USUAL, about)).toBeUndefined()
})

test.each([
  ['user-agent', 'Revento/7'],
  ['content-type', 'application/json; charset=utf-8'],
  ['x-revento-event', 'application.rejected'],
  ['x-revento-timestamp', String(AT / 1000 - 6)],
  ['x-revento-timestamp', String(AT / 1000 + 6)],
])('what tells something is kept: %s %s', (name, text) => {
  expect(keptHeaders(revento, { ...USUAL, [name]: text }, about)).toBe(JSON.stringify({ [name]: text }))
})

test.each([
  ['a line break', 'a\nb'],
  ['another alphabet', 'é'],
  ['201 characters', 'a'.repeat(201)],
  ['none', ''],
])('what no ordinary sender writes is left out: %s', (_, text) => {
  expect(keptHeaders(revento, { 'user-agent': text }, about)).toBeUndefined()
})

test('a signature is not kept, though its header holds the timestamp too', () => {
  const { header } = revento.signature
  const paired = { ...revento, timestamp: { header, form: /t/, toMs: () => 0, fromMs: String, windowMs: 1 } }
  expect(keptHeaders(paired, { [header]: 't=1,v1=0123' }, about)).toBeUndefined()
})
