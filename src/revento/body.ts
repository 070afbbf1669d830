import { promisify } from 'node:util'
import { brotliDecompress, gunzip, inflate, zstdDecompress } from 'node:zlib'
import { errors } from 'undici'

/** Of an answer, as it comes and as it is when it is no longer compressed. */
export const ANSWER_LIMIT = 1024 * 1024
/** The megabyte may come in so many pieces: each costs far more than its bytes, and a million of them 300 MB. */
const MOST_PIECES = 10_000

/** The text of an answer, in UTF-8. */
export async function readText(
  body: AsyncIterable<Uint8Array>,
  encoding: string | string[] | undefined,
): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of body)
    if (pieces.push(piece) > MOST_PIECES) throw new errors.ResponseExceededMaxSizeError()
  const bytes = Buffer.concat(pieces)
  return new TextDecoder().decode(encoding === undefined ? bytes : await decoded(bytes, String(encoding)))
}

type Decode = (body: Uint8Array, o: { maxOutputLength: number }) => Promise<Uint8Array>
const gzip: Decode = promisify(gunzip)
const DECODERS = new Map<string, Decode>([
  ['identity', async body => body],
  ['gzip', gzip],
  ['x-gzip', gzip],
  ['deflate', promisify(inflate)],
  ['br', promisify(brotliDecompress)],
  ['zstd', promisify(zstdDecompress)],
])

/**
 * Identity was asked for, and a proxy on the way may compress all the same (RFC 9110 section 12.5.3), or say so of a body
 * that it left as it was.
 */
async function decoded(body: Uint8Array, encoding: string): Promise<Uint8Array> {
  const decode = DECODERS.get(encoding.trim().toLowerCase())
  try {
    if (decode) return await decode(body, { maxOutputLength: ANSWER_LIMIT })
  } catch (error) {
    if (error instanceof RangeError) throw new errors.ResponseExceededMaxSizeError()
  }
  if (body[0] === OPENING_BRACE) return body
  throw new UnreadableBody(decode ? 'broken_content_encoding' : 'unknown_content_encoding')
}

const OPENING_BRACE = 0x7b

/** An answer came whose bytes are in an encoding that cannot be undone. */
class UnreadableBody extends Error {
  override readonly name = 'UnreadableBody'
  readonly code: string
  constructor(code: string) {
    super(code)
    this.code = code
  }
}
