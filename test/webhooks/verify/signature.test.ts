import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { revento } from '../../../src/webhooks/providers/revento.ts'
import { type RefusalReason, sign, verify } from '../../../src/webhooks/verify/signature.ts'

const SECRET = 'whsec_0123456789abcdef'
const NOW = 1_747_000_000_000
const TIMESTAMP = String(NOW / 1000)
const BODY = Buffer.from('{"id":"evt_1"}')
const SIGNATURE = sign(revento, SECRET, TIMESTAMP, BODY)
const HEX = SIGNATURE.slice('sha256='.length)

type Headers = Record<string, string | string[] | undefined>
const judge = (headers: Headers = {}, body: Uint8Array = BODY, now = NOW, secrets = { current: SECRET }) => {
  const usual = { 'x-revento-signature': SIGNATURE, 'x-revento-timestamp': TIMESTAMP }
  return verify(revento, secrets, { ...usual, ...headers }, body, now)
}
const refused = (reason: RefusalReason) => ({ ok: false, reason })
const withSignature = (text: string | string[] | undefined) => judge({ 'x-revento-signature': text })

test('a signature of what was sent is accepted', () => {
  expect(judge()).toEqual({ ok: true, secret: 'current' })
})

describe('the body', () => {
  test('a body with any one bit flipped is refused', () => {
    for (let bit = 0; bit < BODY.length * 8; bit++) {
      const body = Buffer.from(BODY)
      body[bit >> 3] = (body[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(judge({}, body), `bit ${bit}`).toEqual(refused('signature_mismatch'))
    }
  })

  test('a body cut anywhere, or with a byte before or after, is refused', () => {
    for (let length = 0; length < BODY.length; length++)
      expect(judge({}, BODY.subarray(0, length)).ok, `${length}`).toBe(false)
    for (const extra of ['\n', ' ', '\0', '\ufeff'].map(text => Buffer.from(text))) {
      expect(judge({}, Buffer.concat([BODY, extra])).ok).toBe(false)
      expect(judge({}, Buffer.concat([extra, BODY])).ok).toBe(false)
    }
  })

  test('a body is taken as bytes: what reads the same as text is not the same', () => {
    const [invalid, replaced] = [Buffer.from([0xff]), Buffer.from('\ufffd')]
    const signature = sign(revento, SECRET, TIMESTAMP, replaced)
    expect(judge({ 'x-revento-signature': signature }, replaced).ok).toBe(true)
    expect(judge({ 'x-revento-signature': signature }, invalid).ok).toBe(false)
  })

  test('a body does not lend its bytes to the timestamp', () => {
    const body = Buffer.from('5.{}')
    const moved = sign(revento, SECRET, '174700000', Buffer.from('0.5.{}'))
    expect(judge({ 'x-revento-signature': moved }, body).ok).toBe(false)
  })
})

describe('the signature', () => {
  test('a signature with any one digit changed is refused', () => {
    for (let at = 0; at < HEX.length; at++)
      for (const digit of '0123456789abcdef') {
        const changed = HEX.slice(0, at) + digit + HEX.slice(at + 1)
        expect(withSignature(`sha256=${changed}`).ok, `${at} ${digit}`).toBe(changed === HEX)
      }
  })

  test('a signature cut anywhere is malformed', () => {
    for (let length = 1; length < SIGNATURE.length; length++)
      expect(withSignature(SIGNATURE.slice(0, length)), `${length}`).toEqual(refused('signature_malformed'))
  })

  const OTHER_SPELLINGS: [string, string][] = [
    ['in upper-case hex', `sha256=${HEX.toUpperCase()}`],
    ['with an upper-case prefix', `SHA256=${HEX}`],
    ['without the prefix', HEX],
    ['with the prefix alone', 'sha256='],
    ['with the prefix twice', `sha256=sha256=${HEX}`],
    ['with another prefix', `sha1=${HEX}`],
    ['with a colon', `sha256:${HEX}`],
    ['with a space after the prefix', `sha256= ${HEX}`],
    ['with a space before', ` ${SIGNATURE}`],
    ['with a space after', `${SIGNATURE} `],
    ['with a line break after', `${SIGNATURE}\n`],
    ['with a NUL after', `${SIGNATURE}\0`],
    ['in quotes', `"${SIGNATURE}"`],
    ['with a digit more', `${SIGNATURE}0`],
    ['with 0x', `sha256=0x${HEX}`],
    ['in base64', `sha256=${Buffer.from(HEX, 'hex').toString('base64')}`],
    ['with padding', `${SIGNATURE}==`],
    ['twice, as repeated headers arrive', `${SIGNATURE}, ${SIGNATURE}`],
    ['twice, without a space', `${SIGNATURE},${SIGNATURE}`],
    ['beside a wrong one', `sha256=${'0'.repeat(64)},${SIGNATURE}`],
    ['with a full-width digit', `sha256=${HEX.slice(0, 63)}\uff11`],
    ['with letters beyond f', `sha256=${HEX.slice(0, 63)}g`],
  ]
  test.each(OTHER_SPELLINGS)('a signature %s is malformed', (_, text) => {
    expect(withSignature(text)).toEqual(refused('signature_malformed'))
  })

  test.each([[undefined], [''], [[SIGNATURE]], [[SIGNATURE, SIGNATURE]]])(
    'missing as %o is missing',
    value => {
      expect(withSignature(value)).toEqual(refused('signature_missing'))
    },
  )

  test('a signature of nothing but zeros, or of a random text, is refused', () => {
    expect(withSignature(`sha256=${'0'.repeat(64)}`)).toEqual(refused('signature_mismatch'))
    fc.assert(fc.property(fc.string({ maxLength: 100 }), text => !withSignature(text).ok))
    const digits = fc.string({ minLength: 64, maxLength: 64, unit: fc.constantFrom(...'0123456789abcdef') })
    fc.assert(fc.property(digits, text => !withSignature(`sha256=${text}`).ok))
  })
})

describe('the secret', () => {
  const other = sign(revento, 'whsec_previous_012345', TIMESTAMP, BODY)
  const rotating = { current: SECRET, previous: 'whsec_previous_012345' }

  test('the previous secret is accepted too, and said to be the previous one', () => {
    const headers = { 'x-revento-signature': other }
    expect(judge(headers, BODY, NOW, rotating)).toEqual({ ok: true, secret: 'previous' })
    expect(judge({}, BODY, NOW, rotating)).toEqual({ ok: true, secret: 'current' })
  })

  test('a secret that is neither is refused', () => {
    const headers = { 'x-revento-signature': sign(revento, `${SECRET} `, TIMESTAMP, BODY) }
    expect(judge(headers, BODY, NOW, rotating)).toEqual(refused('signature_mismatch'))
    expect(judge({ 'x-revento-signature': other })).toEqual(refused('signature_mismatch'))
  })

  test('an absent previous secret is not an empty one', () => {
    const headers = { 'x-revento-signature': sign(revento, '', TIMESTAMP, BODY) }
    for (const secrets of [{ current: SECRET }, { current: SECRET, previous: '' }])
      expect(judge(headers, BODY, NOW, secrets)).toEqual(refused('signature_mismatch'))
  })
})
