import { describe, expect, test } from 'vitest'
import { createSealer, UnsealError } from '../../src/keys/sealing.ts'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'

const PLACE = { table: 'connections', row: 'evt_1 org_1', column: 'access_token' }
const key = (fill: number) => Buffer.alloc(32, fill)
const sealer = createSealer({ current: key(1) }, runtime)
const failure = (work: () => unknown) => {
  try {
    work()
  } catch (error) {
    return error instanceof UnsealError ? error.code : error
  }
  return 'opened'
}

test.each(['', 'a', 'rev_install_42', 'Grüße 🎉', '\u0000\u0001', 'x'.repeat(100_000)])(
  'opens what it sealed (%#)',
  text => {
    expect(sealer.open(sealer.seal(text, PLACE), PLACE)).toBe(text)
  },
)

test('a sealer opens what the database gives back: a plain Uint8Array, a view into a larger one', () => {
  const sealed = sealer.seal('token', PLACE)
  const larger = new Uint8Array(sealed.length + 20)
  larger.set(sealed, 7)
  expect(sealer.open(new Uint8Array(sealed), PLACE)).toBe('token')
  expect(sealer.open(larger.subarray(7, 7 + sealed.length), PLACE)).toBe('token')
})

test('the sealed bytes do not hold the text, and are 33 bytes longer', () => {
  const text = 'rev_refresh_very_secret'
  const sealed = sealer.seal(text, PLACE)
  expect(sealed.includes(text)).toBe(false)
  expect(sealed.length).toBe(text.length + 33)
})

test('10,000 values have 10,000 nonces', () => {
  const nonces = Array.from({ length: 10_000 }, () => sealer.seal('x', PLACE).toString('hex', 5, 17))
  expect(new Set(nonces).size).toBe(10_000)
})

describe('refuses', () => {
  test('a sealer refuses a value with any one bit flipped: head, key id, nonce, tag or ciphertext', () => {
    const sealed = sealer.seal('rev_install_42', PLACE)
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const damaged = Buffer.from(sealed)
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      const expected = bit < 5 * 8 ? 'unknown_key' : 'damaged'
      expect(
        failure(() => sealer.open(damaged, PLACE)),
        `bit ${bit}`,
      ).toBe(expected)
    }
  })

  test('a sealer refuses a value cut anywhere, or with a byte more', () => {
    const sealed = sealer.seal('token', PLACE)
    for (let length = 0; length < sealed.length; length++)
      expect(
        failure(() => sealer.open(sealed.subarray(0, length), PLACE)),
        `${length}`,
      ).not.toBe('opened')
    expect(failure(() => sealer.open(Buffer.concat([sealed, Buffer.of(0)]), PLACE))).toBe('damaged')
  })

  test.each([
    ['table', { ...PLACE, table: 'flows' }],
    ['row', { ...PLACE, row: 'evt_2 org_1' }],
    ['column', { ...PLACE, column: 'refresh_token' }],
    ['boundary between row and column', { ...PLACE, row: 'evt_1 org_1","access_token', column: '' }],
  ])('a sealer refuses a value moved to another %s', (_, elsewhere) => {
    const sealed = sealer.seal('token', PLACE)
    expect(failure(() => sealer.open(sealed, elsewhere))).toBe('damaged')
  })

  test('a sealer refuses a value sealed with a key it does not know', () => {
    const other = createSealer({ current: key(2) }, runtime)
    expect(failure(() => sealer.open(other.seal('token', PLACE), PLACE))).toBe('unknown_key')
  })

  test('a sealer refuses a value whose key id was changed to a known one', () => {
    const other = createSealer({ current: key(2) }, runtime)
    const head = sealer.seal('', PLACE).subarray(0, 5)
    const forged = Buffer.concat([head, other.seal('token', PLACE).subarray(5)])
    expect(failure(() => sealer.open(forged, PLACE))).toBe('damaged')
  })
})

test('the previous key opens what it sealed; new values are sealed with the current one', () => {
  const rotated = createSealer({ current: key(2), previous: key(1) }, runtime)
  expect(rotated.open(sealer.seal('old', PLACE), PLACE)).toBe('old')
  const sealed = rotated.seal('new', PLACE)
  expect(failure(() => sealer.open(sealed, PLACE))).toBe('unknown_key')
  expect(createSealer({ current: key(2) }, runtime).open(sealed, PLACE)).toBe('new')
})

test('an error tells neither the text nor the key', () => {
  const sealed = sealer.seal('rev_install_42', PLACE)
  const error = new UnsealError('damaged')
  expect(error.message).toBe('sealed value cannot be opened: damaged')
  expect(error.message).not.toContain(sealed.toString('hex'))
})
