import {
  COUNTS,
  ID_PREFIXES,
  MEMBER_NAMES,
  MOMENTS,
  OPEN_MEMBERS,
  WORD_MEMBERS,
  WORDS,
} from '../../process/disclosure.ts'
import { EVENT_TYPES } from '../../revento/platform.ts'
import { numberText, rawNumber } from '../verify/lossless-json.ts'

/**
 * A payload that may be kept in a repository. What `disclosure.ts` lists stays. Everything else, names of members too, is
 * replaced by a made-up text of the same form, equal texts by equal ones; to `hide`, by a word that says so, and ids stay.
 * `value` comes from `parseLossless`, so that numbers keep their digits or their length.
 */
export function redact(value: unknown, how: 'replace' | 'hide' = 'replace'): unknown {
  return walk(value, { name: '', isOpen: false, depth: 0, isHiding: how === 'hide', replaced: new Map() })
}

interface Place {
  readonly name: string
  /** The value is inside a member that organizers or participants fill, of which nothing is known. */
  readonly isOpen: boolean
  readonly depth: number
  readonly isHiding: boolean
  /** The replaced texts and names of members, each with its replacement. */
  readonly replaced: Map<string, string>
}

const ENVELOPE_ID = /^(evt|org)_[A-Za-z0-9_-]{1,110}$/
/** An id of Revento's, which names nobody by itself: a member's name and its prefix both say so. */
const SHORT_ID = new RegExp(`^(${[...ID_PREFIXES].join('|')})_[A-Za-z0-9_-]{1,64}$`)
const HIDDEN = '(hidden)'
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
const MOMENT = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)$/
const DATE = /^\d{4}-\d\d-\d\d$/
/** Telephone numbers, times of day, sums, postcodes. */
const FIGURES = /^[\d\s+()./:,-]*\d[\d\s+()./:,-]*$/
const types: ReadonlySet<string> = new Set(EVENT_TYPES)

function walk(value: unknown, place: Place): unknown {
  const number = numberText(value)
  if (number !== undefined) return isCount(place) ? value : place.isHiding ? HIDDEN : rawNumber(ones(number))
  if (Array.isArray(value)) return value.map(one => walk(one, place))
  if (typeof value === 'object' && value !== null) return members(value, place)
  if (typeof value === 'string') return isKept(value, place) ? value : replacement(value, place)
  return place.isOpen && typeof value === 'boolean' ? false : value
}

function members(value: object, { isOpen, depth, isHiding, replaced }: Place): object {
  const entries = Object.entries(value).map(([name, member]) => {
    const isKnown = !isOpen && MEMBER_NAMES.has(name)
    const below = { isOpen: !isKnown || OPEN_MEMBERS.has(name), depth: depth + 1, isHiding, replaced }
    return [isKnown ? name : memberName(name, replaced), walk(member, { ...below, name })] as const
  })
  return Object.fromEntries(entries)
}

const isCount = ({ name, isOpen }: Place) => !isOpen && COUNTS.has(name)

function isKept(text: string, { name, isOpen, depth }: Place): boolean {
  if (isOpen) return false
  if (depth === 1 && /^(id|event_id|organization_id)$/.test(name)) return ENVELOPE_ID.test(text)
  if (WORD_MEMBERS.has(name)) return WORDS.has(text) || (name === 'type' && types.has(text))
  return MOMENTS.has(name) && MOMENT.test(text)
}

function memberName(name: string, replaced: Place['replaced']): string {
  const key = `member ${name}`
  const made = replaced.get(key) ?? `member_${replaced.size + 1}`
  replaced.set(key, made)
  return made
}

function replacement(text: string, { name, isOpen, isHiding, replaced }: Place): string {
  if (text === '') return text
  if (isHiding) return !isOpen && name.endsWith('id') && SHORT_ID.test(text) ? text : HIDDEN
  const made = replaced.get(text) ?? madeUp(isOpen ? '' : name, text, replaced.size + 1)
  replaced.set(text, made)
  return made
}

/** A text of the same form, so that a handler that checks it works as before. It is not plain ASCII, as names are not. */
function madeUp(name: string, text: string, number: number): string {
  if (text.includes('@')) return `person${number}@example.org`
  if (/^https?:/i.test(text)) return `https://example.org/${number}`
  if (MOMENT.test(text)) return `2000-01-01T00:00:00${text.endsWith('Z') ? 'Z' : '+00:00'}`
  if (DATE.test(text)) return '2000-01-01'
  if (FIGURES.test(text)) return ones(text)
  if (UUID.test(text)) return `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`
  if (/^[A-Za-z]{2,12}_\w+$/.test(text)) return idLike(text, number)
  return name.includes('name') ? `Zoë Ødegård ${number}` : `text ${number} – gewählt`
}

function idLike(text: string, number: number): string {
  const prefix = [...ID_PREFIXES].find(one => text.startsWith(`${one}_`))
  return `${prefix ?? 'id'}_${number}`
}

const ones = (text: string) => text.replaceAll(/\d/g, '1')
