import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

interface Package {
  readonly version: string
  readonly dependencies?: Record<string, string>
  readonly optionalDependencies?: Record<string, string>
  readonly peerDependencies?: Record<string, string>
}

const read = (path: string) => JSON.parse(readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8'))
const locked: Record<string, Package> = read('package-lock.json').packages
const manifest: Record<string, Record<string, string> | undefined> = read('package.json')

/** Finds a package as Node does: beside the one that needs it, then in each folder above. */
function found(wanting: string, name: string): boolean {
  if (locked[`${wanting && `${wanting}/`}node_modules/${name}`]) return true
  const parent = wanting.lastIndexOf('/node_modules/')
  return wanting !== '' && found(parent < 0 ? '' : wanting.slice(0, parent), name)
}

describe('the lock file', () => {
  /** npm leaves out, and says nothing, what the registry does not have; then npm ci fails on every machine. */
  test('the lock file has an entry for each optional package, so that npm ci works on every platform', () => {
    const edges = Object.entries(locked).flatMap(([path, { optionalDependencies = {} }]) =>
      Object.keys(optionalDependencies).map(name => [path, name] as const),
    )
    expect(edges.length).toBeGreaterThan(20)
    expect(edges.filter(([path, name]) => !found(path, name))).toEqual([])
  })

  test.each([
    ['fastify', '5.12.1', 'CVE-2025-32442, CVE-2026-25223, CVE-2026-3419, CVE-2026-33806: checks passed by'],
    ['@fastify/proxy-addr', '5.1.1', 'CVE-2026-92395: a proxy range that trusted the whole internet'],
    ['undici', '8.12.4', 'CVE-2026-116592, CVE-2026-116630, CVE-2026-120474: answers of other users'],
  ])('the lock file holds %s %s or newer (%s)', (name, floor) => {
    const at = Object.keys(locked).filter(path => path.endsWith(`node_modules/${name}`))
    expect(at).toHaveLength(1)
    for (const path of at)
      expect(floor.localeCompare(locked[path]?.version ?? '', 'en', { numeric: true })).toBeLessThanOrEqual(0)
  })
})

test('each dependency is pinned to one version', () => {
  const kinds = ['dependencies', 'devDependencies', 'optionalDependencies'].map(kind => manifest[kind] ?? {})
  for (const [name, version] of kinds.flatMap(Object.entries<string>))
    expect([name, version]).toEqual([name, expect.stringMatching(/^\d+\.\d+\.\d+(-[\w.]+)?$/)])
})
