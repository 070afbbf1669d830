import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import type { Provider, Secrets } from './provider.ts'

export type RefusalReason =
  | 'signature_missing'
  | 'signature_malformed'
  | 'id_missing'
  | 'id_malformed'
  | 'timestamp_missing'
  | 'timestamp_malformed'
  | 'timestamp_stale'
  | 'timestamp_in_future'
  | 'signature_mismatch'

export type Verdict = { ok: true; secret: 'current' | 'previous' } | { ok: false; reason: RefusalReason }

export type Headers = Readonly<Record<string, string | string[] | undefined>>

/** The signature header's value for these bytes. `timestamp` and `id` are texts of headers that the provider signs, too. */
export function sign(
  provider: Provider,
  secret: string,
  timestamp: string,
  body: Uint8Array,
  id = '',
): string {
  const { pairs } = provider.signature
  const signature = prefixedMac(provider, secret, timestamp, body, id)
  return pairs ? `${pairs.timestamp}${timestamp},${signature}` : signature
}

function prefixedMac(
  provider: Provider,
  secret: string,
  timestamp: string,
  body: Uint8Array,
  id: string,
): string {
  const { algorithm, encoding, prefix } = provider.signature
  const key = provider.secret.toKey?.(secret) ?? secret
  const mac = createHmac(algorithm, key)
    .update(before(provider, timestamp, id))
    .update(body)
  return prefix + mac.digest(encoding)
}

/** The text that is signed before the body. */
export function before({ signed }: Provider, timestamp: string, id: string): string {
  let text = signed.start ?? ''
  for (const part of signed.parts) text += (part === 'id' ? id : timestamp) + signed.separator
  return text
}

/** SHA-256, in hex, of the signed bytes: the key of a delivery that has no id. */
export function fingerprint(provider: Provider, headers: Headers, body: Uint8Array): string {
  const { timestamp, id } = textsOf(provider, headers)
  return createHash('sha256')
    .update(before(provider, String(timestamp), String(id)))
    .update(body)
    .digest('hex')
}

/**
 * Judges one delivery by its headers and raw bytes. Every header has one accepted form and is compared as text: no
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
  const signatures = readSignatures(provider, received)
  if (signatures === undefined) return { ok: false, reason: 'signature_malformed' }

  const { timestamp, id } = textsOf(provider, headers)
  if (typeof id !== 'string') return { ok: false, reason: 'id_missing' }
  if (provider.signed.parts.includes('id') && !SIGNED_ID.test(id))
    return { ok: false, reason: 'id_malformed' }
  if (typeof timestamp !== 'string') return { ok: false, reason: 'timestamp_missing' }
  const age = timestampRefusal(provider, timestamp, now)
  if (age) return { ok: false, reason: age }

  const isSignedWith = (secret: string) =>
    isOneOf(signatures, prefixedMac(provider, secret, timestamp, body, id))
  if (isSignedWith(secrets.current)) return { ok: true, secret: 'current' }
  if (secrets.previous && isSignedWith(secrets.previous)) return { ok: true, secret: 'previous' }
  return { ok: false, reason: 'signature_mismatch' }
}

/** A signed id has no dot: every provider that signs one puts dots around it, and one inside would allow two readings. */
const SIGNED_ID = /^[\x21-\x2d\x2f-\x7e]{1,200}$/

/** The header texts that are signed; '' for what the provider does not sign. */
export function textsOf({ timestamp, signature, signed, deliveryIdHeader }: Provider, headers: Headers) {
  const signsId = deliveryIdHeader !== undefined && signed.parts.includes('id')
  const time = timestamp ? headers[timestamp.header] : ''
  return {
    timestamp: signature.pairs && typeof time === 'string' ? pairOf(time, signature.pairs.timestamp) : time,
    id: signsId ? headers[deliveryIdHeader] : '',
  }
}

/** The value of this name in a header of pairs; undefined unless the name stands there exactly once. */
function pairOf(header: string, name: string): string | undefined {
  const [found, ...more] = header.split(',').filter(pair => pair.startsWith(name))
  return more.length > 0 ? undefined : found?.slice(name.length)
}

function timestampRefusal({ timestamp }: Provider, text: string, now: number): RefusalReason | undefined {
  if (!timestamp) return undefined
  if (!timestamp.form.test(text)) return 'timestamp_malformed'
  if (timestamp.windowMs === undefined) return undefined
  const age = now - timestamp.toMs(text)
  if (age > timestamp.windowMs) return 'timestamp_stale'
  if (age < -timestamp.windowMs) return 'timestamp_in_future'
  return undefined
}

const ENCODED = {
  sha256: { hex: /^[0-9a-f]{64}$/, base64: /^[A-Za-z0-9+/]{43}=$/ },
  md5: { hex: /^[0-9a-f]{32}$/, base64: /^[A-Za-z0-9+/]{22}==$/ },
} as const

function hasForm({ algorithm, encoding, prefix }: Provider['signature'], text: string): boolean {
  return text.startsWith(prefix) && ENCODED[algorithm][encoding].test(text.slice(prefix.length))
}

/** Reads the signatures of a header. A list may hold those of other versions of the scheme, which are skipped. */
export function readSignatures({ signature }: Provider, text: string): string[] | undefined {
  const { list, pairs, prefix } = signature
  if (!list && !pairs) return hasForm(signature, text) ? [text] : undefined
  const given = text.split(pairs ? ',' : ' ')
  const ours = given.filter(one => one.startsWith(prefix))
  const others = given.filter(one => !one.startsWith(prefix))
  const passedOver = pairs ? OTHER_PAIR : OTHER_VERSION
  const readable = ours.every(one => hasForm(signature, one)) && others.every(one => passedOver.test(one))
  return readable && ours.length > 0 ? ours : undefined
}
const OTHER_VERSION = /^v[0-9a-z]{1,8},[A-Za-z0-9+/=_-]{1,512}$/
const OTHER_PAIR = /^[a-z][0-9a-z]{0,8}=[A-Za-z0-9+/=_.-]{0,512}$/

/** Compares in constant time. The texts have the same form here, so that the length says nothing. */
function isOneOf(received: readonly string[], expected: string): boolean {
  const own = Buffer.from(expected, 'latin1')
  return received.some(
    text => text.length === own.length && timingSafeEqual(Buffer.from(text, 'latin1'), own),
  )
}
