import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Provider, Secrets } from './provider.ts'
import { type Headers, sign } from './signature.ts'

/** A larger body is not looked into: there is one HMAC for each guess. */
const BODY_LIMIT = 64 * 1024

interface Case {
  readonly provider: Provider
  readonly own: Secrets
  readonly headers: Headers
  readonly body: Buffer
  readonly timestamp: string
  readonly id: string
  /** The MAC that came, decoded from whatever it was written in. */
  readonly mac: Buffer
}

/** A guess: what would have been signed, and what to say when that was it. */
interface Guess {
  readonly says: string
  readonly key?: string | Buffer
  readonly algorithm?: string
  readonly text?: string
  readonly body?: Buffer
}

/**
 * Why a signature was refused, in words for a developer's log, or undefined when no guess fits. One thing is changed at
 * a time, a few dozen HMACs in all. Never for an answer, and not for production: it tells a guesser how near he is.
 * `secrets`: of every provider, by name. The text holds no secret and no MAC.
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
  const mac = decode(received)
  if (!mac) return 'the signature header holds no MAC in hex or base64'
  const text = (name: string | undefined) => String((name && headers[name]) ?? '')
  const timestamp = text(provider.timestamp?.header)
  const id = text(provider.deliveryIdHeader)
  const c = { provider, own, headers, body: Buffer.from(body), timestamp, id, mac }
  const right = [own.current, own.previous].some(
    secret => secret && isMac(c, { says: '', key: keyOf(provider, secret) }),
  )
  if (right) return spelling(c, received) ?? timing(c, now)
  return guesses(c, secrets).find(guess => isMac(c, guess))?.says
}

function isMac({ provider, own, timestamp, id, body, mac }: Case, guess: Guess): boolean {
  const { parts, separator } = provider.signed
  const text = guess.text ?? parts.map(part => (part === 'id' ? id : timestamp) + separator).join('')
  const key = guess.key ?? keyOf(provider, own.current)
  const digest = createHmac(guess.algorithm ?? provider.signature.algorithm, key)
    .update(text)
    .update(guess.body ?? body)
    .digest()
  return digest.length === mac.length && timingSafeEqual(digest, mac)
}

const keyOf = ({ secret }: Provider, text: string) => secret.toKey?.(text) ?? text

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

/** The secret, the body and the texts are right: then it is how the MAC is written. */
function spelling({ provider, own, timestamp, id, body }: Case, received: string): string | undefined {
  const { prefix, encoding } = provider.signature
  const written = [own.current, own.previous ?? own.current].map(s => sign(provider, s, timestamp, body, id))
  if (written.includes(received)) return undefined
  if (!received.startsWith(prefix)) return `the MAC is right, but does not begin with "${prefix}"`
  const bare = received.slice(prefix.length)
  if (encoding === 'hex' && /^[0-9A-F]+$/i.test(bare))
    return 'the MAC is right, but is written in upper-case hex'
  const isHex = /^[0-9a-f]+$/i.test(bare)
  if (isHex === (encoding === 'hex')) return `the MAC is right, but is not written as plain ${encoding}`
  return `the MAC is right, but is written in ${isHex ? 'hex' : 'base64'} instead of ${encoding}`
}

/** Everything is right but the time. */
function timing({ provider, timestamp }: Case, now: number): string | undefined {
  const { form, toMs, windowMs } = provider.timestamp ?? {}
  if (!form?.test(timestamp)) return formOf(timestamp)
  const skewS = toMs ? Math.round((now - toMs(timestamp)) / 1000) : 0
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

function guesses(c: Case, secrets: Readonly<Record<string, Secrets>>): Guess[] {
  return [...otherSecrets(c, secrets), ...otherBodies(c), ...otherTexts(c), ...otherAlgorithms(c)]
}

function otherSecrets({ provider, own }: Case, secrets: Readonly<Record<string, Secrets>>): Guess[] {
  const { current } = own
  const padded = [`${current}\n`, `${current}\r\n`, `${current} `, ` ${current}`, `"${current}"`]
  const others = Object.entries(secrets).filter(([name]) => name !== provider.name)
  return [
    ...padded.map(key => ({
      says: 'signed with the secret and a blank, a line break or quotes around it',
      key,
    })),
    ...(provider.secret.toKey
      ? [{ says: 'signed with the text of the secret, which has to be decoded first', key: current }]
      : [
          { says: 'signed with the secret decoded from base64', key: Buffer.from(current, 'base64') },
          { says: 'signed with the secret decoded from hex', key: Buffer.from(current, 'hex') },
        ]),
    { says: 'signed with an empty secret', key: '' },
    { says: 'signed with the secret of the sandbox', key: keyOf(provider, provider.secret.sandbox) },
    ...others.flatMap(([name, other]) =>
      [other.current, other.previous].flatMap((key, i) =>
        key ? [{ says: `signed with the ${i === 0 ? '' : 'previous '}secret of ${name}`, key }] : [],
      ),
    ),
  ]
}

function otherBodies({ body }: Case): Guess[] {
  const says = 'the body was changed after it was signed'
  const text = body.toString()
  const ends = ['\n', '\r\n'].map(end => ({
    says: `${says}: a line break at its end is gone`,
    body: Buffer.concat([body, Buffer.from(end)]),
  }))
  const trimmed = { says: `${says}: there is white space around it`, body: Buffer.from(text.trim()) }
  const none = { says: 'no body was signed, or it was lost before signing', body: Buffer.alloc(0) }
  return [
    ...ends,
    trimmed,
    none,
    ...reserialised(text, `${says}: it is JSON written again with other spacing`),
  ]
}

function reserialised(text: string, says: string): Guess[] {
  try {
    const value: unknown = JSON.parse(text)
    const compact = JSON.stringify(value)
    return [
      compact,
      spaced(value),
      JSON.stringify(value, null, 2),
      JSON.stringify(value, null, 4),
      ascii(compact),
    ]
      .concat(ascii(spaced(value)))
      .map(body => ({ says, body: Buffer.from(body) }))
  } catch {
    return []
  }
}

/** As Python's json.dumps writes it: a space after each colon and comma. */
function spaced(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(spaced).join(', ')}]`
  return `{${Object.entries(value)
    .map(([key, member]) => `${JSON.stringify(key)}: ${spaced(member)}`)
    .join(', ')}}`
}

const ascii = (text: string) =>
  text.replace(/[\u0080-\uffff]/g, c => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)

function otherTexts({ provider, timestamp, id }: Case): Guess[] {
  const { parts, separator } = provider.signed
  const join = (time: string, between: string) =>
    parts.map(part => (part === 'id' ? id : time) + between).join('')
  const separators = ['.', ';', ':', '', '\n', '|', ','].filter(other => other !== separator)
  const times = [`${timestamp}000`, timestamp.slice(0, 10)].filter(time => time !== timestamp)
  if (parts.length === 0) return []
  return [
    { says: 'the body alone was signed, without what belongs before it', text: '' },
    ...separators.map(other => ({
      says: `signed with "${other.replace('\n', '\\n')}" between the parts instead of "${separator}"`,
      text: join(timestamp, other),
    })),
    ...times.map(time => ({
      says: 'signed with the time in another unit than the header',
      text: join(time, separator),
    })),
    ...(parts.length > 1 ? [{ says: 'the id was not signed', text: timestamp + separator }] : []),
  ]
}

const otherAlgorithms = ({ mac, provider }: Case): Guess[] =>
  ['sha1', 'sha256', 'sha512', 'md5']
    .filter(algorithm => algorithm !== provider.signature.algorithm && LENGTHS[algorithm] === mac.length)
    .map(algorithm => ({ says: `signed with HMAC-${algorithm.toUpperCase()}`, algorithm }))

const LENGTHS: Readonly<Record<string, number>> = { sha1: 20, sha256: 32, sha512: 64, md5: 16 }
