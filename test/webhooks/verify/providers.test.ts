import { describe, expect, test } from 'vitest'
import { providers } from '../../../src/webhooks/providers/index.ts'
import { type RefusalReason, sign, verify } from '../../../src/webhooks/verify/signature.ts'
import { moreSenders } from '../senders/index.ts'
import { hostile } from './hostile.ts'
import { type KnownAnswer, knownAnswers, seedOf, withHeader } from './known-answers.ts'

/** What every provider has to pass. A new one gets here by its line in providers/index.ts and its known answers. */
const judge = (k: KnownAnswer, headers: Record<string, string> = k.headers, body = k.body, now = k.now) =>
  verify(k.provider, { current: k.secret }, headers, body, now)
const refused = (reason: RefusalReason) => ({ ok: false, reason })

test('names, variables, and signature headers are used once', () => {
  for (const of of [
    (p: (typeof providers)[number]) => p.name,
    (p: (typeof providers)[number]) => p.secret.variable,
    (p: (typeof providers)[number]) => p.signature.header,
  ])
    expect(new Set(providers.map(of)).size).toBe(providers.length)
})

const all = [...providers, ...moreSenders].map(provider => [provider.name, provider] as const)

describe.each(all)('%s', (_, provider) => {
  const seed = seedOf(provider)
  const { signature, timestamp } = provider
  const rotated = provider.secret.toKey ? provider.secret.sandbox : `${seed.secret}-before`
  const signedAt = (text: string) => ({
    ...(timestamp ? withHeader(seed.headers, timestamp.header, text) : seed.headers),
    [signature.header]: sign(provider, seed.secret, text, seed.body, seed.id),
  })

  test('each known answer is signed so and accepted', () => {
    for (const k of knownAnswers(provider)) {
      expect(sign(provider, k.secret, k.timestamp, k.body, k.id), k.name).toBe(k.signature)
      expect(judge(k), k.name).toEqual({ ok: true, secret: 'current' })
    }
  })

  test('the previous secret is taken too, and said to be that one', () => {
    const secrets = { current: rotated, previous: seed.secret }
    expect(verify(provider, secrets, seed.headers, seed.body, seed.now)).toEqual({
      ok: true,
      secret: 'previous',
    })
    expect(judge({ ...seed, secret: rotated })).toEqual(refused('signature_mismatch'))
  })

  test('each kind of refusal has its reason', () => {
    const without = (name: string) => judge(seed, withHeader(seed.headers, name, undefined))
    expect(without(signature.header)).toEqual(refused('signature_missing'))
    expect(judge(seed, withHeader(seed.headers, signature.header, 'x'))).toEqual(
      refused('signature_malformed'),
    )
    expect(judge(seed, seed.headers, Buffer.from('{}'))).toEqual(refused('signature_mismatch'))
    if (timestamp) {
      const untimed = signature.pairs
        ? judge(seed, withHeader(seed.headers, signature.header, seed.signature.replace(/^t=\d+,/, '')))
        : without(timestamp.header)
      expect(untimed).toEqual(refused('timestamp_missing'))
      expect(judge(seed, signedAt('soon'))).toEqual(refused('timestamp_malformed'))
    }
  })

  test('the time is judged both ways, to the millisecond, or not at all', () => {
    const windowMs = timestamp?.windowMs
    const at = (age: number) => judge(seed, seed.headers, seed.body, seed.now + age)
    if (windowMs === undefined) {
      for (const age of [86_400_000, -86_400_000]) expect(at(age).ok).toBe(true)
      return
    }
    for (const age of [windowMs, -windowMs]) expect(at(age).ok, `${age}`).toBe(true)
    expect(at(windowMs + 1)).toEqual(refused('timestamp_stale'))
    expect(at(-windowMs - 1)).toEqual(refused('timestamp_in_future'))
  })

  test('what is sent is accepted, at any millisecond', () => {
    for (const ms of [0, 1, 10, 100, 120, 123, 999, 500]) {
      const at = 1_747_000_000_000 + ms
      const headers = signedAt(timestamp?.fromMs(at) ?? '')
      expect(judge(seed, headers, seed.body, at), `${ms}`).toEqual({ ok: true, secret: 'current' })
    }
  })

  test('the example of each type is read', () => {
    for (const type of provider.types) {
      const body = provider.example({ type, id: '1', at: seed.now })
      const json: unknown = provider.body === 'json' ? JSON.parse(body) : undefined
      const unsignedType = provider.unsignedTypeHeader ? type : null
      const fingerprint = () => 'a'.repeat(64)
      const envelope = provider.read({ json, deliveryId: 'msg_1', unsignedType, fingerprint })
      expect(envelope).toMatchObject({ type, id: expect.stringMatching(/^\S{1,200}$/) })
      expect(envelope?.answerKey !== undefined).toBe(provider.inline === true)
    }
  })

  test('everything that is only near to what was signed is refused', () => {
    let count = 0
    for (const k of knownAnswers(provider))
      for (const { what, headers, body } of hostile(k)) {
        count++
        if (judge(k, headers, body).ok) expect.fail(`accepted: ${what} (${k.name})`)
      }
    expect(count).toBeGreaterThan(1_500)
  })
})
