/**
 * A payload that may be kept in a repository: its structure, ids, times, states, numbers and the members' names stay;
 * every other text is replaced, the same one by the same. Answers to an event's own questions are replaced whatever
 * their type: nobody knows what was asked.
 */
export function redact(value: unknown): unknown {
  return walk(value, '', false, new Map())
}

/** The texts that are replaced. */
export function personalTexts(value: unknown): string[] {
  const replaced: Replaced = new Map()
  walk(value, '', false, replaced)
  return [...replaced.keys()]
}

type Replaced = Map<string, string>

/** Never a person's words: what Revento's own fields and enums look like. */
const ID = /^[A-Za-z]{2,12}_[A-Za-z0-9_-]{1,110}$/
const ID_KEY = /^id$|_ids?$/
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/
const ENUM = /^[a-z][a-z0-9_.]{0,60}$/
const ENUM_KEY = /^(type|role|min_age|last_review_action)$|(^|_)(status|state)$/
const PERSONAL_KEY =
  /phone|mobile|birth|(^|_)age$|zip|postal|post_?code|latitude|longitude|passport|(^|_)tax/i
const ANSWERS_KEY = /custom_form_fields|answers|responses/i

function walk(value: unknown, key: string, isAnswer: boolean, replaced: Replaced): unknown {
  if (Array.isArray(value)) return value.map(one => walk(one, key, isAnswer, replaced))
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).map(([name, member]) => {
      return [name, walk(member, name, isAnswer || ANSWERS_KEY.test(name), replaced)] as const
    })
    return Object.fromEntries(members)
  }
  if (typeof value === 'string')
    return isAnswer || !isKept(key, value) ? replacement(key, value, replaced) : value
  if (typeof value === 'number') return isAnswer || PERSONAL_KEY.test(key) ? 1 : value
  return isAnswer && typeof value === 'boolean' ? false : value
}

function isKept(key: string, text: string): boolean {
  if (ID_KEY.test(key)) return ID.test(text) || UUID.test(text)
  if (ENUM_KEY.test(key)) return ENUM.test(text)
  return key.endsWith('_at') && MOMENT.test(text)
}

/** Of the same kind, so that a handler that looks at the form still finds it. Not plain ASCII, as people are not. */
function replacement(key: string, text: string, replaced: Replaced): string {
  if (text === '') return text
  const known = replaced.get(text)
  if (known !== undefined) return known
  const made = madeUp(key, text, replaced.size + 1)
  replaced.set(text, made)
  return made
}

function madeUp(key: string, text: string, number: number): string {
  if (text.includes('@')) return `person${number}@example.org`
  if (/^https?:/i.test(text)) return `https://example.org/${number}`
  if (MOMENT.test(text)) return '2000-01-01T00:00:00Z'
  if (/^\d{4}-\d\d-\d\d$/.test(text)) return '2000-01-01'
  if (/phone|mobile/i.test(key) || /^\+?[\d ()/-]{6,}$/.test(text))
    return `+1555010${String(number).padStart(4, '0')}`
  if (ID_KEY.test(key)) return `id_redacted_${number}`
  return /name/i.test(key) ? `Zoë Ødegård ${number}` : `text ${number} – gewählt`
}
