import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Provider, Secrets } from './provider.ts'

export type RefusalReason =
  | 'signature_missing'
  | 'signature_malformed'
  | 'timestamp_missing'
  | 'timestamp_malformed'
  | 'timestamp_stale'
  | 'timestamp_in_future'
  | 'signature_mismatch'

export type Verdict = { ok: true; secret: 'current' | 'previous' } | { ok: false; reason: RefusalReason }

type Headers = Readonly<Record<string, string | string[] | undefined>>

/** The signature header's value for these exact bytes; `timestamp` is the text the header will carry. */
export function sign(provider: Provider, secret: string, timestamp: string, body: Uint8Array): string {
  const { algorithm, encoding, prefix } = provider.signature
  const mac = createHmac(algorithm, secret).update(provider.signedPrefix(timestamp)).update(body)
  return prefix + mac.digest(encoding)
}

/**
 * Judges one delivery by its headers and raw bytes. Both headers have one accepted form, compared as text: no
 * decoding, so no second spelling of the same MAC. `now` in milliseconds.
 */
export function verify(
  provider: Provider,
  secrets: Secrets,
  headers: Headers,
  body: Uint8Array,
  now: number,
): Verdict {
  const received = headers[provider.signature.header]
  if (typeof received !== 'string' || received === '') return { ok: false, reason: 'signature_missing' }
  if (!hasForm(provider, received)) return { ok: false, reason: 'signature_malformed' }

  const timestamp = provider.timestamp ? headers[provider.timestamp.header] : ''
  if (typeof timestamp !== 'string') return { ok: false, reason: 'timestamp_missing' }
  const age = timestampRefusal(provider, timestamp, now)
  if (age) return { ok: false, reason: age }

  if (matches(received, sign(provider, secrets.current, timestamp, body)))
    return { ok: true, secret: 'current' }
  if (secrets.previous && matches(received, sign(provider, secrets.previous, timestamp, body)))
    return { ok: true, secret: 'previous' }
  return { ok: false, reason: 'signature_mismatch' }
}

function timestampRefusal(provider: Provider, text: string, now: number): RefusalReason | undefined {
  if (!provider.timestamp) return undefined
  if (!provider.timestamp.form.test(text)) return 'timestamp_malformed'
  const age = now - provider.timestamp.toMs(text)
  if (age > provider.timestamp.windowMs) return 'timestamp_stale'
  if (age < -provider.timestamp.windowMs) return 'timestamp_in_future'
  return undefined
}

const ENCODED = {
  'sha256 hex': /^[0-9a-f]{64}$/,
  'sha256 base64': /^[A-Za-z0-9+/]{43}=$/,
  'md5 hex': /^[0-9a-f]{32}$/,
  'md5 base64': /^[A-Za-z0-9+/]{22}==$/,
} as const

function hasForm({ signature }: Provider, text: string): boolean {
  const form = ENCODED[`${signature.algorithm} ${signature.encoding}`]
  return text.startsWith(signature.prefix) && form.test(text.slice(signature.prefix.length))
}

/** Constant time; both texts have the same form here, so the length tells nothing. */
function matches(received: string, expected: string): boolean {
  const [a, b] = [Buffer.from(received, 'latin1'), Buffer.from(expected, 'latin1')]
  return a.length === b.length && timingSafeEqual(a, b)
}
