import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { aghanim } from '../../../src/webhooks/providers/aghanim.ts'
import { barker } from '../../../src/webhooks/providers/barker.ts'
import { entrupy } from '../../../src/webhooks/providers/entrupy.ts'
import { providers } from '../../../src/webhooks/providers/index.ts'
import { revento } from '../../../src/webhooks/providers/revento.ts'
import { standard } from '../../../src/webhooks/providers/standard.ts'
import { autopsy } from '../../../src/webhooks/verify/autopsy.ts'
import type { Provider, Secrets } from '../../../src/webhooks/verify/provider.ts'
import { type Headers, sign, verify } from '../../../src/webhooks/verify/signature.ts'
import { startApp } from '../../helpers/app.ts'
import { createClient } from '../../helpers/client.ts'
import { previousOf, SENDERS_ENV, secretOf, signedAs } from '../../helpers/senders.ts'
import { hostile } from './hostile.ts'
import { seedOf } from './known-answers.ts'

const NOW = 1_747_000_000_000
const TIME = String(NOW / 1000)
const SECRETS: Record<string, Secrets> = Object.fromEntries(
  providers.map(provider => [provider.name, { current: secretOf(provider), previous: previousOf(provider) }]),
)

/** What is said of a delivery that `verify` refuses; fails where it does not. */
function explain(provider: Provider, headers: Headers, body: Buffer, now = NOW): string | undefined {
  const own = SECRETS[provider.name] ?? { current: '' }
  expect(verify(provider, own, headers, body, now).ok).toBe(false)
  return autopsy(provider, SECRETS, headers, body, now)
}

const BODY = Buffer.from('{"id":"é","list":[1,{"a":"b"}],"n":null}')
const value = JSON.parse(BODY.toString())
const rightly = (provider: Provider, body = BODY, o: Parameters<typeof signedAs>[1] = {}) =>
  signedAs(provider, { body, at: NOW, id: 'msg_1', ...o }).headers

const spaced = '{"id": "é", "list": [1, {"a": "b"}], "n": null}'
const BODIES: [string, string | Buffer, string][] = [
  ['with other spacing', JSON.stringify(value, null, 2), 'written again'],
  ['as Python writes JSON', spaced, 'written again'],
  ['as Python writes JSON, in ASCII', spaced.replace('é', '\\u00e9'), 'written again'],
  ['with a line break at its end', `${BODY}\n`, 'a line break at its end is gone'],
  ['with white space that is no longer there', BODY, 'white space around it'],
  ['that is empty', '', 'no body was signed'],
]

describe.each(providers.map(p => [p.name, p] as const))('%s', (_, provider) => {
  test.each(BODIES)('the log says of a body signed %s what it is', (_what, signed, says) => {
    const body = signed === BODY ? Buffer.from(` ${BODY}\n`) : BODY
    expect(explain(provider, rightly(provider, Buffer.from(signed)), body)).toContain(says)
  })

  test('the log names the secret of another provider, current or previous', () => {
    for (const other of providers) {
      if (other === provider || other.secret.toKey || provider.secret.toKey) continue
      const by = (secret: string) => explain(provider, rightly(provider, BODY, { secret }), BODY)
      expect(by(secretOf(other))).toBe(`signed with the secret of ${other.name}`)
      expect(by(previousOf(other))).toBe(`signed with the previous secret of ${other.name}`)
    }
  })

  test('the log tells no signature header from one under another name', () => {
    const { [provider.signature.header]: signature, ...rest } = rightly(provider)
    expect(explain(provider, rest, BODY)).toContain(`the header ${provider.signature.header} is missing`)
    expect(explain(provider, { ...rest, 'x-signature-old': signature }, BODY)).toContain(
      'x-signature-old looks like',
    )
  })

  test('the log has never a secret or a MAC, and never an exception, whatever comes', () => {
    const seed = seedOf(provider)
    const secrets = { ...SECRETS, [provider.name]: { current: seed.secret } }
    let [seen, said] = [0, 0]
    for (const { headers, body } of hostile(seed)) {
      if (seen++ % 7 > 0) continue
      const text = autopsy(provider, secrets, headers, body, seed.now)
      if (text === undefined) continue
      said++
      expect(text.length).toBeLessThan(160)
      for (const secret of [seed.secret, ...Object.values(SECRETS).map(s => s.current)])
        expect(text).not.toContain(secret)
      expect(text).not.toMatch(/[0-9a-f]{16}|[A-Za-z0-9+/]{24}/)
    }
    expect(said).toBeGreaterThan(5)
    const anything = fc.dictionary(fc.constantFrom(...Object.keys(seed.headers)), fc.string())
    fc.assert(
      fc.property(anything, fc.uint8Array(), (headers, body) => {
        autopsy(provider, secrets, headers, body, NOW)
      }),
    )
  })
})

const PADDED: [string, (secret: string) => string][] = [
  ['a line break', s => `${s}\n`],
  ['a blank', s => `${s} `],
  ['a blank before', s => ` ${s}`],
  ['quotes', s => `"${s}"`],
]
test.each(PADDED)('a secret with %s around it', (_, pad) => {
  const headers = rightly(revento, BODY, { secret: pad(secretOf(revento)) })
  expect(explain(revento, headers, BODY)).toContain('around it')
})

test("a secret that is empty, decoded, not decoded, or the sandbox's", () => {
  const by = (provider: Provider, secret: string | Buffer) => {
    const mac = createHmac('sha256', secret).update(`${TIME}.`).update(BODY).digest('hex')
    return explain(
      provider,
      { ...rightly(provider), [provider.signature.header]: provider.signature.prefix + mac },
      BODY,
    )
  }
  expect(by(revento, '')).toContain('empty secret')
  expect(by(revento, Buffer.from(secretOf(revento), 'base64'))).toContain('decoded from base64')
  expect(by(revento, revento.secret.sandbox)).toContain('secret of the sandbox')
  const text = createHmac('sha256', secretOf(standard)).update(`msg_1.${TIME}.`).update(BODY).digest('base64')
  expect(explain(standard, { ...rightly(standard), 'webhook-signature': `v1,${text}` }, BODY)).toContain(
    'has to be decoded',
  )
})

test('the right MAC in another spelling', () => {
  const hex = sign(revento, secretOf(revento), TIME, BODY).slice(7)
  const base64 = Buffer.from(hex, 'hex').toString('base64')
  const says = (signature: string) =>
    explain(revento, { ...rightly(revento), 'x-revento-signature': signature }, BODY)
  expect(says(hex)).toContain('does not begin with "sha256="')
  expect(says(`sha256:${hex}`)).toContain('does not begin with')
  expect(says(`sha256=${hex.toUpperCase()}`)).toContain('upper-case')
  expect(says(`sha256=${base64}`)).toContain('base64 instead of hex')
  const entrupys = Buffer.from(sign(entrupy, secretOf(entrupy), '', BODY).slice(7), 'base64').toString('hex')
  expect(explain(entrupy, { 'entrupy-signature': `SHA256:${entrupys}` }, BODY)).toContain(
    'hex instead of base64',
  )
})

test('the time: milliseconds, another unit than signed, and a clock that is wrong', () => {
  const at = (text: string, signed = text) => ({
    'x-revento-timestamp': text,
    'x-revento-signature': sign(revento, secretOf(revento), signed, BODY),
  })
  expect(explain(revento, at(String(NOW)), BODY)).toContain('the timestamp is in milliseconds')
  expect(explain(revento, at(TIME, String(NOW)), BODY)).toContain('another unit')
  expect(explain(revento, at(TIME), BODY, NOW + 400_000)).toContain('its time is 400 s behind')
  expect(explain(revento, at(TIME), BODY, NOW - 400_000)).toContain('its time is 400 s ahead of')
})

test('the signed text: another separator, the body alone, no id; and another algorithm', () => {
  const by = (provider: Provider, text: string, algorithm = 'sha256') => {
    const { header, prefix, encoding } = provider.signature
    const key = provider.secret.toKey?.(secretOf(provider)) ?? secretOf(provider)
    const mac = createHmac(algorithm, key).update(text).update(BODY).digest(encoding)
    return explain(provider, { ...rightly(provider), [header]: prefix + mac }, BODY)
  }
  expect(by(aghanim, `${TIME};`)).toContain('";" between the parts instead of "."')
  expect(by(barker, `${TIME}.0.`, 'md5')).toContain('"." between the parts instead of ";"')
  expect(by(revento, '')).toContain('the body alone was signed')
  expect(by(standard, `${TIME}.`)).toContain('the id was not signed')
  expect(by(revento, `${TIME}.`, 'sha512')).toBe('signed with HMAC-SHA512')
  expect(by(barker, `${TIME}.0;`, 'sha256')).toBe('signed with HMAC-SHA256')
})

test('headers with underscores that a proxy drops', () => {
  const { barker_timestamp: _time, ...rest } = rightly(barker)
  expect(explain(barker, rest, BODY)).toContain('some proxies drop headers with underscores')
})

test('nothing where nothing fits, and for a large body', () => {
  expect(explain(revento, rightly(revento, BODY, { secret: 'nobody-has-this-one' }), BODY)).toBeUndefined()
  const large = Buffer.alloc(64 * 1024 + 1, ' ')
  expect(explain(revento, rightly(revento, BODY), large)).toBeUndefined()
})

test('a body of deep JSON is not written again: that would cost what the sender wants', () => {
  const nested = (depth: number) => JSON.parse('['.repeat(depth) + ']'.repeat(depth))
  for (const [depth, said] of [
    [50, expect.stringContaining('other spacing')],
    [51, undefined],
  ] as const) {
    const indented = JSON.stringify(nested(depth), null, 4)
    const sent = Buffer.from(JSON.stringify(nested(depth)))
    expect(explain(revento, rightly(revento, Buffer.from(indented)), sent)).toEqual(said)
  }
})

test('it is in the log of a refusal, never in the answer, and not in production', async () => {
  const production = {
    NODE_ENV: 'production',
    ENCRYPTION_KEY: Buffer.alloc(32, 7).toString('base64'),
    REVENTO_REDIRECT_URI: 'https://app.example.com/callback',
    REVENTO_AUTH_BASE: 'https://127.0.0.1:9',
    REVENTO_API_BASE: 'https://127.0.0.1:9/api',
  }
  for (const [env, told] of [
    [{}, true],
    [production, false],
  ] as const) {
    const app = await startApp({ env: { ...SENDERS_ENV, ...env } })
    const { body, headers } = signedAs(aghanim, { secret: secretOf(entrupy) })
    const answer = await createClient().post(`${app.url}/webhooks/aghanim`, body, headers)
    expect(answer.text).not.toContain('entrupy')
    const line = app.log.find(({ msg }) => msg === 'request')
    expect(line?.['autopsy']).toBe(told ? 'signed with the secret of entrupy' : undefined)
    expect(line?.['reason']).toBe('signature_mismatch')
    await app.close()
  }
})
