import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { revento } from '../../src/webhooks/providers/revento.ts'
import { sign, verify } from '../../src/webhooks/signature.ts'

interface Vectors {
  revento: {
    secret: string
    cases: { name: string; timestamp: string; body_base64: string; signature: string }[]
  }
}

const file = new URL('../vectors/signatures.json', import.meta.url)
const { revento: vectors }: Vectors = JSON.parse(readFileSync(file, 'utf8'))

test('there are known answers', () => {
  expect(vectors.cases.length).toBeGreaterThanOrEqual(4)
})

describe.each(vectors.cases)('known answer: $name', ({ timestamp, body_base64, signature }) => {
  const body = Buffer.from(body_base64, 'base64')
  const headers = { 'x-revento-signature': signature, 'x-revento-timestamp': timestamp }
  const now = Number(timestamp) * 1000

  test('is what we sign', () => {
    expect(sign(revento, vectors.secret, timestamp, body)).toBe(signature)
  })

  test('is what we accept', () => {
    expect(verify(revento, { current: vectors.secret }, headers, body, now)).toEqual({
      ok: true,
      secret: 'current',
    })
  })

  test('is refused under another secret and for another body', () => {
    const mismatch = { ok: false, reason: 'signature_mismatch' }
    expect(verify(revento, { current: 'another' }, headers, body, now)).toEqual(mismatch)
    const longer = Buffer.concat([body, Buffer.from(' ')])
    expect(verify(revento, { current: vectors.secret }, headers, longer, now)).toEqual(mismatch)
  })
})
