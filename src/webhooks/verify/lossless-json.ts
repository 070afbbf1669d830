/** Reads and writes JSON with its numbers as they stood: 9007199254740993123 is no double. */

interface RawJson {
  readonly rawJSON: string
}

/** ECMAScript's JSON.parse source text access, which TypeScript's library does not have yet. */
declare global {
  interface JSON {
    rawJSON(text: string): RawJson
    isRawJSON(value: unknown): value is RawJson
    parse(
      text: string,
      reviver: (name: string, value: unknown, context: { source?: string }) => unknown,
    ): unknown
  }
}

/** As `JSON.parse`, but each number becomes an object that `JSON.stringify` writes as it stood. */
export const parseLossless = (text: string): unknown =>
  JSON.parse(text, (_name, value, { source }) =>
    typeof value === 'number' && source !== undefined ? JSON.rawJSON(source) : value,
  )

/** A value that `JSON.stringify` writes as this number. */
export const rawNumber = (text: string): unknown => JSON.rawJSON(text)

/** How the number was written; undefined for any other value. */
export const numberText = (value: unknown): string | undefined =>
  JSON.isRawJSON(value) ? value.rawJSON : undefined
