/**
 * PostgreSQL's text holds no NUL, and neither database holds half a surrogate pair: both store U+FFFD in their place.
 * Raw bodies are bytes and stay as they came.
 */
export const storable = (value: unknown): unknown =>
  typeof value === 'string' && value.includes('\0') ? storableText(value) : value

const storableText = (text: string) => text.toWellFormed().replaceAll('\0', '\uFFFD')

/** JSON whose texts are storable. Both kinds of trouble are written as \u escapes, which are rare. */
export function storableJson(value: unknown): string {
  const json = JSON.stringify(value)
  if (!json.includes('\\u')) return json
  return JSON.stringify(value, (_key, member) => (typeof member === 'string' ? storableText(member) : member))
}
