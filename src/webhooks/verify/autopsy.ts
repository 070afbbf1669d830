import { guesses, isMac, keyOf, type SignedCase } from './autopsy-guesses.ts'
import type { Provider, Secrets } from './provider.ts'
import { type Headers, readSignatures, sign, textsOf } from './signature.ts'

/** A larger body is not looked into: there is one HMAC for each guess. */
const BODY_LIMIT = 64 * 1024

/**
 * Why a signature was refused, in words for a developer's log, or undefined when no guess fits. One thing is changed at
 * a time, a few dozen HMACs in all. Never for an answer, and not for production: it says how near a guess was.
 * `secrets` are those of every provider, by name. The text holds no secret and no MAC.
 */
export function autopsy(
  provider: Provider,
  secrets: Readonly<Record<string, Secrets>>,
  headers: Headers,
  body: Uint8Array,
  now: number,
): string | undefined {
  const own = secrets[provider.name]
  const { header } = provider.signature
  const received = headers[header]
  if (!own || body.length > BODY_LIMIT) return undefined
  if (typeof received !== 'string') return wrongHeader(provider, header, headers)
  const missing = missingHeader(provider, headers)
  if (missing) return missing
  const mac = decode(readSignatures(provider, received)?.[0] ?? received)
  if (!mac) return 'the signature header holds no MAC in hex or base64'
  const { timestamp = '' } = textsOf(provider, headers)
  const id = String((provider.deliveryIdHeader && headers[provider.deliveryIdHeader]) ?? '')
  const c = { provider, own, headers, body: Buffer.from(body), timestamp: String(timestamp), id, mac }
  const right = [own.current, own.previous].some(
    secret => secret && isMac(c, { says: '', key: keyOf(provider, secret) }),
  )
  if (right) return spelling(c, received) ?? timing(c, now)
  return guesses(c, secrets).find(guess => isMac(c, guess))?.says
}

/** Any usual way to write a MAC: a prefix or a list around it, hex in either case, base64 in either alphabet. */
function decode(text: string): Buffer | undefined {
  const bare = text
    .trim()
    .replace(/^"|"$/g, '')
    .split(/[ ,]+/)
    .at(-1)
    ?.replace(/^[A-Za-z0-9_-]{1,12}[=:,](?=.{16})/, '')
  if (!bare || bare.length > 200) return undefined
  if (/^([0-9a-f]{2}){16,64}$/i.test(bare)) return Buffer.from(bare, 'hex')
  return /^[A-Za-z0-9+/_-]{22,88}={0,2}$/.test(bare) ? Buffer.from(bare, 'base64url') : undefined
}

/** The secret, the body and the signed texts are right, so the fault is in how the MAC is written. */
function spelling({ provider, own, timestamp, id, body }: SignedCase, received: string): string | undefined {
  const { prefix, encoding, pairs } = provider.signature
  if (pairs)
    return readSignatures(provider, received)
      ? undefined
      : 'the MAC is right, but the header has another form'
  const written = [own.current, own.previous ?? own.current].map(s => sign(provider, s, timestamp, body, id))
  const given = provider.signature.list ? received.split(' ') : [received]
  if (given.some(signature => written.includes(signature))) return undefined
  if (!received.startsWith(prefix)) return `the MAC is right, but does not begin with "${prefix}"`
  const bare = received.slice(prefix.length)
  if (encoding === 'hex' && /^[0-9A-F]+$/i.test(bare))
    return 'the MAC is right, but is written in upper-case hex'
  const isHex = /^[0-9a-f]+$/i.test(bare)
  if (isHex === (encoding === 'hex')) return `the MAC is right, but is not written as plain ${encoding}`
  return `the MAC is right, but is written in ${isHex ? 'hex' : 'base64'} instead of ${encoding}`
}

/** The MAC is right as it is written, so the fault is in the time. */
function timing({ provider, timestamp }: SignedCase, now: number): string | undefined {
  if (!provider.timestamp) return undefined
  const { form, toMs, windowMs } = provider.timestamp
  if (!form.test(timestamp)) return formOf(timestamp)
  const skewS = Math.round((now - toMs(timestamp)) / 1000)
  if (windowMs === undefined || Math.abs(skewS * 1000) < windowMs) return undefined
  const side = skewS > 0 ? 'behind' : 'ahead of'
  return `rightly signed, but its time is ${Math.abs(skewS)} s ${side} this clock: a clock is wrong, or it is a replay`
}

const formOf = (timestamp: string) =>
  /^\d{13}$/.test(timestamp)
    ? 'rightly signed, but the timestamp is in milliseconds'
    : 'rightly signed, but the timestamp has another form than documented'

function missingHeader(
  { timestamp, signed, deliveryIdHeader }: Provider,
  headers: Headers,
): string | undefined {
  const names = [timestamp?.header, signed.parts.includes('id') ? deliveryIdHeader : undefined]
  const missing = names.find(name => name !== undefined && typeof headers[name] !== 'string')
  return missing && `the header ${missing} is missing${underscores(missing)}`
}

function wrongHeader({ signature }: Provider, header: string, headers: Headers): string {
  const elsewhere = Object.entries(headers).find(
    ([name, value]) =>
      typeof value === 'string' &&
      value.startsWith(signature.prefix) &&
      /signature|hmac|digest/.test(name) &&
      decode(value),
  )
  if (elsewhere) return `the header ${header} is missing, but ${elsewhere[0]} looks like a signature`
  return `the header ${header} is missing${underscores(header)}`
}

const underscores = (header: string) =>
  header.includes('_') ? '; some proxies drop headers with underscores' : ''
