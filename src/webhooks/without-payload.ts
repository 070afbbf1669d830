import { personalTexts } from './redact.ts'

/** How V8 quotes what it could not parse. */
const QUOTED_JSON = /, (\.\.\.)?"[\s\S]*"(\.\.\.)? is not valid JSON/g

/**
 * The log and the list of deliveries show what a handler's error says: what it quotes of the payload is taken out first,
 * from the very error, and its own words stay. What it quotes of anything else, an answer of the API say, is its own.
 */
export function withoutPayload(error: unknown, raw: Uint8Array): unknown {
  if (!(error instanceof Error)) return error
  try {
    const clean = cleanerFor(raw)
    const { message, stack } = error
    error.message = clean(message)
    // The frames below the message name code, which may have the same words.
    const [head = '', ...frames] = stack?.split(/(?=\n {4}at )/) ?? []
    error.stack = [clean(head), ...frames].join('')
    return error
  } catch {
    return new Error('an error that cannot be changed, so it may quote the payload')
  }
}

function cleanerFor(raw: Uint8Array): (text: string) => string {
  const quotes = textsOf(Buffer.from(raw).toString()).map(
    text => new RegExp(`(?<![\\p{L}\\p{N}])${RegExp.escape(text)}(?![\\p{L}\\p{N}])`, 'gu'),
  )
  return text =>
    quotes.reduce(
      (rest, quote) => rest.replace(quote, '[payload]'),
      text.replace(QUOTED_JSON, ' is not valid JSON'),
    )
}

/** The longest first, since a name may be a part of an address. */
function textsOf(body: string): string[] {
  let texts: string[]
  try {
    texts = personalTexts(JSON.parse(body))
  } catch {
    texts = [body]
  }
  return texts.filter(text => text.trim().length > 1).toSorted((a, b) => b.length - a.length)
}
