import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Provider, Secrets } from './provider.ts'
import { before, type Headers } from './signature.ts'

/** A delivery whose signature was refused, as far as it could be read. */
export interface SignedCase {
  readonly provider: Provider
  readonly own: Secrets
  readonly headers: Headers
  readonly body: Buffer
  readonly timestamp: string
  readonly id: string
  /** The MAC that came, decoded from whatever it was written in. */
  readonly mac: Buffer
}

/** A guess at what was signed, and what to say when its MAC is the one that came. */
export interface Guess {
  readonly says: string
  readonly key?: string | Buffer
  readonly algorithm?: string
  readonly text?: string
  readonly body?: Buffer
}

export function isMac({ provider, own, timestamp, id, body, mac }: SignedCase, guess: Guess): boolean {
  const text = guess.text ?? before(provider, timestamp, id)
  const key = guess.key ?? keyOf(provider, own.current)
  const digest = createHmac(guess.algorithm ?? provider.signature.algorithm, key)
    .update(text)
    .update(guess.body ?? body)
    .digest()
  return digest.length === mac.length && timingSafeEqual(digest, mac)
}

export const keyOf = ({ secret }: Provider, text: string) => secret.toKey?.(text) ?? text

/** Each guess changes one thing, from the likely to the unlikely. */
export function guesses(c: SignedCase, secrets: Readonly<Record<string, Secrets>>): Guess[] {
  return [...otherSecrets(c, secrets), ...otherBodies(c), ...otherTexts(c), ...otherAlgorithms(c)]
}

function otherSecrets({ provider, own }: SignedCase, secrets: Readonly<Record<string, Secrets>>): Guess[] {
  const { current } = own
  const padded = [`${current}\n`, `${current}\r\n`, `${current} `, ` ${current}`, `"${current}"`]
  const others = Object.entries(secrets).filter(([name]) => name !== provider.name)
  return [
    { says: 'signed with an empty secret', key: '' },
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
    { says: 'signed with the secret of the sandbox', key: keyOf(provider, provider.secret.sandbox) },
    ...others.flatMap(([name, other]) =>
      [other.current, other.previous].flatMap((key, i) =>
        key ? [{ says: `signed with the ${i === 0 ? '' : 'previous '}secret of ${name}`, key }] : [],
      ),
    ),
  ]
}

function otherBodies({ body }: SignedCase): Guess[] {
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

/** An indented body grows with the square of its depth: 6 KB that anybody may send took 0.3 s. */
const DEEPEST = 50

function reserialised(text: string, says: string): Guess[] {
  try {
    const value: unknown = JSON.parse(text)
    if (isDeeper(value, DEEPEST)) return []
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

const isDeeper = (value: unknown, than: number): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (than === 0 || Object.values(value).some(member => isDeeper(member, than - 1)))

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

function otherTexts({ provider, timestamp, id }: SignedCase): Guess[] {
  const { parts, separator, start = '' } = provider.signed
  const join = (time: string, between: string) =>
    start + parts.map(part => (part === 'id' ? id : time) + between).join('')
  const separators = ['.', ';', ':', '', '\n', '|', ','].filter(other => other !== separator)
  const times = [`${timestamp}000`, timestamp.slice(0, 10)].filter(time => time !== timestamp)
  if (parts.length === 0) return []
  return [
    { says: 'the body alone was signed, without what belongs before it', text: '' },
    ...(start
      ? [
          {
            says: `signed without "${start}" before the rest`,
            text: join(timestamp, separator).slice(start.length),
          },
        ]
      : []),
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

const otherAlgorithms = ({ mac, provider }: SignedCase): Guess[] =>
  ['sha1', 'sha256', 'sha512', 'md5']
    .filter(algorithm => algorithm !== provider.signature.algorithm && LENGTHS[algorithm] === mac.length)
    .map(algorithm => ({ says: `signed with HMAC-${algorithm.toUpperCase()}`, algorithm }))

const LENGTHS: Readonly<Record<string, number>> = { sha1: 20, sha256: 32, sha512: 64, md5: 16 }
