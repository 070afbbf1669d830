import { createHash } from 'node:crypto'

/** Where something can come to light. `page`: what only the session's own browser gets. */
export type Place =
  | 'log'
  | 'commands'
  | 'answers'
  | 'page'
  | 'redirects'
  | 'cookies'
  | 'metrics'
  | 'database'
  | 'other files'
  | 'token requests'
  | 'api requests'

export interface Canary {
  readonly name: string
  readonly bytes: Buffer
  /** Nowhere else. */
  readonly mayBe: readonly Place[]
  /** A digest of it would be as good for guessing as the thing itself. */
  readonly hashed: boolean
}

export const canary = (
  name: string,
  value: string | Buffer,
  mayBe: readonly Place[] = [],
  hashed = false,
): Canary => ({ name, bytes: Buffer.from(value), mayBe, hashed })

/** Everything that was printed, answered, stored or sent, by place. */
export class Findings {
  readonly #places = new Map<Place, Buffer[]>()

  add(place: Place, content: string | Buffer): void {
    this.#places.set(place, [...(this.#places.get(place) ?? []), Buffer.from(content)])
  }

  /** The places that hold it, in whatever spelling. */
  of(sought: Canary): Place[] {
    const needles = spellings(sought)
    const holds = (contents: Buffer[]) => contents.some(content => needles.some(n => content.includes(n)))
    return [...this.#places].flatMap(([place, contents]) => (holds(contents) ? [place] : []))
  }
}

const DIGESTS = ['hex', 'base64', 'base64url'] as const

function spellings({ bytes, hashed }: Canary): Buffer[] {
  const text = bytes.toString('latin1')
  const hex = bytes.toString('hex')
  const each = (spell: (byte: string, index: number) => string) =>
    [...bytes].map((byte, index) => spell(byte.toString(16).padStart(2, '0'), index)).join('')
  const digest = createHash('sha256').update(bytes)
  const found = [
    bytes,
    hex,
    hex.toUpperCase(),
    ...base64(bytes),
    encodeURIComponent(text),
    each(byte => `%${byte}`),
    each(byte => `%${byte.toUpperCase()}`),
    JSON.stringify(text).slice(1, -1),
    each(byte => `\\u00${byte}`),
    each(byte => `\\u00${byte.toUpperCase()}`),
    each(byte => `&#${Number.parseInt(byte, 16)};`),
    each(byte => `&#x${byte};`),
    Buffer.from(text, 'utf16le'),
    Buffer.from(text, 'utf16le').swap16(),
    Buffer.from([...bytes].toReversed()),
    ...(hashed ? DIGESTS.map(encoding => digest.copy().digest(encoding).replace(/=+$/, '')) : []),
  ]
  return found.map(spelling => Buffer.from(spelling))
}

/** In each of its three alignments and both alphabets, without the characters that neighbours change. */
function base64(bytes: Buffer): string[] {
  return [0, 1, 2].flatMap(offset => {
    const shifted = Buffer.concat([Buffer.alloc(offset), bytes])
    const whole = Math.floor((shifted.length * 8) / 6)
    const first = Math.ceil((offset * 8) / 6)
    return (['base64', 'base64url'] as const).map(alphabet => shifted.toString(alphabet).slice(first, whole))
  })
}
