import { isDeepStrictEqual } from 'node:util'
import type { Manifest } from './repository.ts'

export interface Sides {
  /** The version from which both sides grew. */
  readonly base: Manifest
  readonly ours: Manifest
  readonly theirs: Manifest
}

/** These members say whose project it is: ours stay. */
const OURS = new Set([
  'name',
  'version',
  'private',
  'description',
  'author',
  'license',
  'repository',
  'template',
])

/** Merges package.json member by member. Where both sides changed one, the template's newer value is taken. */
export function mergeManifests({ base, ours, theirs }: Sides): Manifest {
  const result: Record<string, unknown> = {}
  for (const key of new Set([...Object.keys(ours), ...Object.keys(theirs)])) {
    const value = OURS.has(key) ? ours[key] : merge(base[key], ours[key], theirs[key])
    if (value !== undefined) result[key] = value
  }
  return result as Manifest
}

function merge(base: unknown, ours: unknown, theirs: unknown): unknown {
  if (isDeepStrictEqual(theirs, base)) return ours
  if (isDeepStrictEqual(ours, base) || !isObject(ours) || !isObject(theirs)) return theirs
  const before = isObject(base) ? base : {}
  const keys = new Set([...Object.keys(theirs), ...Object.keys(ours)])
  const members = [...keys].map(key => [key, merge(before[key], ours[key], theirs[key])] as const)
  return Object.fromEntries(members.filter(([, value]) => value !== undefined))
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
