import { Problem } from './api/problem.ts'

/** The body of a console request: JSON, or a form, in which every value is text. A wrong type is invalid_request. */
export type Fields = Readonly<Record<string, unknown>>

export function fieldsOf(body: unknown): Fields {
  if (body === undefined || body === null) return {}
  if (!isObject(body)) throw new Problem('invalid_request')
  return Object.fromEntries(Object.entries(body))
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

export function text(fields: Fields, name: string): string | undefined {
  const value = fields[name]
  if (value !== undefined && typeof value !== 'string') throw new Problem('invalid_request')
  return value
}

/** A whole number, or its digits. An empty form field counts as absent. */
export function whole(fields: Fields, name: string, max: number): number | undefined {
  const value = fields[name]
  if (value === undefined || value === '') return undefined
  const number = typeof value === 'string' && /^\d{1,9}$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 1 || number > max)
    throw new Problem('invalid_request')
  return number
}

/** `true` in JSON, or a ticked box of a form. */
export function flag(fields: Fields, name: string): boolean {
  const value = fields[name]
  if (value === true || value === 'on') return true
  if (value === undefined || value === false) return false
  throw new Problem('invalid_request')
}

export function object(fields: Fields, name: string): Record<string, unknown> | undefined {
  const value = fields[name]
  if (value === undefined) return undefined
  if (!isObject(value)) throw new Problem('invalid_request')
  return Object.fromEntries(Object.entries(value))
}

/** The fields of a query or form. Undefined when any of them is repeated (RFC 6749 section 3.1). */
export function single(fields: unknown): ReadonlyMap<string, string> | undefined {
  const found = new Map<string, string>()
  for (const [name, value] of Object.entries(fields ?? {})) {
    if (typeof value !== 'string') return undefined
    found.set(name, value)
  }
  return found
}

/** One field of a query or form; undefined when it is absent or repeated. */
export function one(fields: unknown, name: string): string | undefined {
  const value: unknown = Object.entries(fields ?? {}).find(([key]) => key === name)?.[1]
  return typeof value === 'string' ? value : undefined
}
