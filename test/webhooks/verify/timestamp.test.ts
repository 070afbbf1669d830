import { describe, expect, test } from 'vitest'
import { revento } from '../../../src/webhooks/providers/revento.ts'
import { sign, verify } from '../../../src/webhooks/verify/signature.ts'

const SECRET = 'whsec_0123456789abcdef'
const SECONDS = 1_747_000_000
const BODY = Buffer.from('{}')

/** A delivery signed at `text`, judged at `now` (ms). */
const judge = (text: string, now = SECONDS * 1000, sent: string | string[] | undefined = text) =>
  verify(
    revento,
    { current: SECRET },
    { 'x-revento-signature': sign(revento, SECRET, text, BODY), 'x-revento-timestamp': sent },
    BODY,
    now,
  )

describe('the window, by our clock', () => {
  test.each([
    ['accepts a timestamp of now', 0, 'ok'],
    ['accepts a timestamp 299 s old', 299_000, 'ok'],
    ['accepts a timestamp exactly 300 s old', 300_000, 'ok'],
    ['rejects a timestamp 300.001 s old', 300_001, 'timestamp_stale'],
    ['rejects a timestamp 301 s old', 301_000, 'timestamp_stale'],
    ['rejects a timestamp a year old', 31_536_000_000, 'timestamp_stale'],
    ['accepts a timestamp 299 s in the future', -299_000, 'ok'],
    ['accepts a timestamp exactly 300 s in the future', -300_000, 'ok'],
    ['rejects a timestamp 300.001 s in the future', -300_001, 'timestamp_in_future'],
    ['rejects a timestamp 301 s in the future', -301_000, 'timestamp_in_future'],
  ])('%s', (_, age, expected) => {
    const verdict = judge(String(SECONDS), SECONDS * 1000 + age)
    expect(verdict.ok ? 'ok' : verdict.reason).toBe(expected)
  })
})

describe('the form: ten decimal digits, signed as they stand', () => {
  const T = String(SECONDS)
  test.each([
    ['a leading zero', `0${T}`],
    ['leading zeros in ten digits of another time', '0000000001'],
    ['a plus', `+${T}`],
    ['a minus', `-${T}`],
    ['a space before', ` ${T}`],
    ['a space after', `${T} `],
    ['a line break after', `${T}\n`],
    ['nine digits', T.slice(1)],
    ['eleven digits', `${T}0`],
    ['milliseconds', `${T}000`],
    ['a fraction', `${T}.0`],
    ['an exponent', '1.747e9'],
    ['an integer exponent', '1747000e3'],
    ['hex', `0x${SECONDS.toString(16)}`],
    ['a separator', '1_747_000_000'],
    ['letters after', `${T}abc`],
    ['Arabic digits', '١٧٤٧٠٠٠٠٠٠'],
    ['full-width digits', '１７４７０００００００'.slice(0, 10)],
    ['an ISO time', new Date(SECONDS * 1000).toISOString()],
    ['nothing', ''],
    ['Infinity', 'Infinity'],
    ['two, as repeated headers arrive', `${T}, ${T}`],
  ])('a timestamp in another form is refused, though rightly signed: %s', (_, text) => {
    expect(judge(text)).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/^timestamp_(malformed|stale)$/),
    })
    if (text !== '0000000001') expect(judge(text)).toEqual({ ok: false, reason: 'timestamp_malformed' })
  })

  test('a missing timestamp and a list of them are refused', () => {
    for (const sent of [undefined, [T], [T, T]]) {
      const headers = { 'x-revento-signature': sign(revento, SECRET, '', BODY), 'x-revento-timestamp': sent }
      expect(verify(revento, { current: SECRET }, headers, BODY, SECONDS * 1000)).toEqual({
        ok: false,
        reason: 'timestamp_missing',
      })
    }
  })

  test('another time than the one signed is refused', () => {
    expect(judge(T, SECONDS * 1000, String(SECONDS + 1))).toEqual({ ok: false, reason: 'signature_mismatch' })
  })
})
