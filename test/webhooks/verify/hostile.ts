import { providers } from '../../../src/webhooks/providers/index.ts'
import type { Provider } from '../../../src/webhooks/verify/provider.ts'
import { sign } from '../../../src/webhooks/verify/signature.ts'
import { type KnownAnswer, withHeader } from './known-answers.ts'

/** A delivery that must be refused. */
export interface Hostile {
  readonly what: string
  readonly headers: Record<string, string>
  readonly body: Buffer
}

/** Everything that is near a right delivery and is not it. */
export function* hostile(k: KnownAnswer): Generator<Hostile> {
  yield* bodies(k)
  yield* digits(k)
  yield* signatures(k)
  yield* timestamps(k)
  yield* ids(k)
  yield* secrets(k)
  yield* others(k)
}

function* bodies({ headers, body }: KnownAnswer): Generator<Hostile> {
  for (let bit = 0; bit < body.length * 8; bit++) {
    const flipped = Buffer.from(body)
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
    yield { what: `bit ${bit} flipped`, headers, body: flipped }
  }
  for (let length = 0; length < body.length; length++)
    yield { what: `cut to ${length} bytes`, headers, body: body.subarray(0, length) }
  for (let byte = 0; byte < 256; byte++) {
    const extra = Buffer.of(byte)
    yield { what: `byte ${byte} after the body`, headers, body: Buffer.concat([body, extra]) }
    yield { what: `byte ${byte} before the body`, headers, body: Buffer.concat([extra, body]) }
  }
}

const ALPHABETS = {
  hex: '0123456789abcdef',
  base64: 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/',
}

/** Every place of the MAC with every other character of its alphabet. */
function* digits({ provider, headers, body, signature }: KnownAnswer): Generator<Hostile> {
  const { header, prefix, encoding } = provider.signature
  for (let at = prefix.length; at < signature.length; at++)
    for (const digit of ALPHABETS[encoding]) {
      if (digit === signature[at] || signature[at] === '=') continue
      const changed = signature.slice(0, at) + digit + signature.slice(at + 1)
      yield {
        what: `${digit} at ${at} of the signature`,
        headers: withHeader(headers, header, changed),
        body,
      }
    }
}

function* signatures({ provider, headers, body, signature }: KnownAnswer): Generator<Hostile> {
  const { header, prefix, encoding, list } = provider.signature
  const mac = Buffer.from(signature.slice(prefix.length), encoding)
  const bare = signature.slice(prefix.length)
  const texts = [
    ...Array.from({ length: signature.length }, (_, length) => signature.slice(0, length)),
    ...[
      'sha256=',
      'SHA256=',
      'SHA256:',
      'sha256:',
      'sha1=',
      'md5=',
      'v0,',
      'v1=',
      'v1,',
      'v2,',
      'v1a,',
      '',
      'HMAC ',
    ]
      .filter(other => other !== prefix)
      .map(other => other + bare),
    prefix + prefix + bare,
    prefix + mac.toString('hex').toUpperCase(),
    prefix + mac.toString('base64url'),
    prefix + mac.toString(encoding === 'hex' ? 'base64' : 'hex'),
    prefix + mac.toString('latin1'),
    prefix + bare.replace(/=+$/, '') + (bare.endsWith('=') ? '' : '='),
    prefix + '0'.repeat(bare.length),
    prefix + 'A'.repeat(bare.length),
    prefix + mac.toString('hex').slice(0, 32),
    `${signature}0`,
    `${signature}=`,
    `${signature}:${signature}`,
    `${signature}:`,
    `${signature},${signature}`,
    `${signature}, ${signature}`,
    `"${signature}"`,
    `${prefix} ${bare}`,
    `${prefix}0x${bare}`,
    `${signature}\n`,
    `\t${signature}`,
    ` ${signature}`,
    `${signature} `,
    `${signature}\0`,
    signature.toUpperCase(),
    signature.toLowerCase(),
    'null',
    'undefined',
    '[object Object]',
    '%00',
  ]
  for (const text of texts) {
    if (text === signature) continue
    yield {
      what: `signature ${JSON.stringify(text.slice(0, 90))}`,
      headers: withHeader(headers, header, text),
      body,
    }
  }
  if (!list) yield { what: 'a list', headers: withHeader(headers, header, `${signature} ${signature}`), body }
  else
    for (const text of [`${signature}  ${signature}`, `${signature} x`, `${signature} v1,`, `v1a,${bare}`])
      yield { what: `list ${text.slice(0, 90)}`, headers: withHeader(headers, header, text), body }
  for (const name of Object.keys(headers))
    if (name === header || name === provider.timestamp?.header)
      yield { what: `no ${name}`, headers: withHeader(headers, name, undefined), body }
}

function* timestamps({
  provider,
  headers,
  body,
  timestamp: t,
  secret,
  id,
  now,
}: KnownAnswer): Generator<Hostile> {
  const { timestamp } = provider
  if (!timestamp) return
  for (let at = 0; at < t.length; at++)
    for (const digit of '0123456789.') {
      const changed = t.slice(0, at) + digit + t.slice(at + 1)
      if (changed !== t)
        yield { what: `time ${changed}`, headers: withHeader(headers, timestamp.header, changed), body }
    }
  const signed = (text: string) => ({
    ...withHeader(headers, timestamp.header, text),
    [provider.signature.header]: sign(provider, secret, text, body, id),
  })
  const forms = [
    `0${t}`,
    `+${t}`,
    `-${t}`,
    ` ${t}`,
    `${t} `,
    `${t}\n`,
    `${t}a`,
    `${t}.`,
    `.${t}`,
    `${t}e0`,
    '',
    '0',
    '-1',
    'NaN',
    'now',
    'Infinity',
    `0x${Math.floor(Number(t)).toString(16)}`,
    `${t}, ${t}`,
    `${t},${t}`,
    `1_747_000_000`,
    '1.7e9',
    '٣٠٠٠٠٠٠٠٠٠',
    `${t}.0.0`,
    `${t}00000000`,
    t.slice(0, 9),
    new Date(now).toISOString(),
    new Date(now).toUTCString(),
  ]
  for (const text of forms) yield { what: `rightly signed time "${text}"`, headers: signed(text), body }
  if (timestamp.windowMs === undefined) return
  for (const seconds of [301, 302, 600, 3600, 86_400, 31_536_000])
    for (const age of [seconds, -seconds])
      yield { what: `rightly signed ${age} s ago`, headers: signed(timestamp.fromMs(now - age * 1000)), body }
}

function* ids({ provider, headers, body, id, timestamp, secret }: KnownAnswer): Generator<Hostile> {
  const name = provider.deliveryIdHeader
  if (name === undefined || !provider.signed.parts.includes('id')) return
  yield { what: 'no id', headers: withHeader(headers, name, undefined), body }
  for (let at = 0; at < id.length; at++)
    yield {
      what: `id changed at ${at}`,
      headers: withHeader(headers, name, `${id.slice(0, at)}~${id.slice(at + 1)}`),
      body,
    }
  for (const text of ['', `${id} `, `${id}.`, `${id}.1`, `${id}, ${id}`, `${id}\n`, 'a'.repeat(201), 'é']) {
    const signature = sign(provider, secret, timestamp, body, text)
    yield {
      what: `rightly signed id "${text}"`,
      headers: { ...headers, [name]: text, [provider.signature.header]: signature },
      body,
    }
  }
}

function* secrets({ provider, headers, body, id, timestamp, secret }: KnownAnswer): Generator<Hostile> {
  const { header } = provider.signature
  const wrong = [
    `${secret}0`,
    secret.slice(0, -4),
    secret.slice(1),
    secret.toUpperCase(),
    '',
    ' ',
    'secret',
    'null',
    'undefined',
    ...providers.map(other => other.secret.sandbox),
    ...(provider.secret.toKey ? [] : [`${secret}\n`, `${secret} `, ` ${secret}`, `"${secret}"`]),
  ]
  for (const other of new Set(wrong)) {
    const { toKey } = provider.secret
    if (toKey?.(other).equals(toKey(secret))) continue
    const signature = sign(provider, other, timestamp, body, id)
    yield { what: `signed with "${other}"`, headers: withHeader(headers, header, signature), body }
  }
}

/** What others would send with the very same secret: their headers, and their signature under our headers. */
function* others(k: KnownAnswer): Generator<Hostile> {
  for (const other of providers) {
    if (other === k.provider) continue
    const secret = sharedWith(other, k.secret)
    for (const timestamp of [k.timestamp, other.timestamp?.fromMs(k.now) ?? '']) {
      const signature = sign(other, secret, timestamp, k.body, k.id)
      // Two senders may sign in the same way: then the route alone tells them apart.
      if (signature === k.signature) continue
      const theirs = {
        'content-type': 'application/json',
        [other.signature.header]: signature,
        ...(other.timestamp ? { [other.timestamp.header]: timestamp } : {}),
        ...(other.deliveryIdHeader ? { [other.deliveryIdHeader]: 'msg_1' } : {}),
      }
      yield { what: `as ${other.name}`, headers: theirs, body: k.body }
      yield {
        what: `the signature of ${other.name}`,
        headers: withHeader(k.headers, k.provider.signature.header, signature),
        body: k.body,
      }
    }
  }
}

/** Returns the same secret in the form that the other provider requires. */
const sharedWith = (other: Provider, secret: string) =>
  other.secret.toKey && !new RegExp(other.secret.form).test(secret)
    ? `whsec_${Buffer.from(secret).toString('base64')}`
    : secret
