import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const SRC = fileURLToPath(new URL('../../src/', import.meta.url))

/** From below to above: a room imports only from those before it. Biome refuses circles between files. */
const ROOMS = [
  ...['process', 'revento', 'storage', 'keys', 'http', 'metrics', 'oauth', 'webhooks', 'sync'],
  ...['config', 'pages', 'status', 'operator', 'sandbox', 'app.ts', 'main.ts', 'cli'],
]
/** The builder's room, and the one that serves it: they give the machinery handlers, and are given its types. */
const YOURS = ['integration', 'builder']

const roomOf = (path: string) => path.split('/', 1)[0] ?? ''
const files = globSync('**/*.{ts,js}', { cwd: SRC }).map(path => path.replaceAll('\\', '/'))
const imports = files.flatMap(path =>
  [...readFileSync(join(SRC, path), 'utf8').matchAll(/(?:from |import\()'(\.[^']+)'/g)].map(
    ([, to = '']) => ({
      path,
      to: join(dirname(path), to).replaceAll('\\', '/'),
    }),
  ),
)

test('every room is known, and two files stand loose', () => {
  expect([...new Set(files.map(roomOf))].toSorted()).toEqual([...ROOMS, ...YOURS].toSorted())
  expect(files.filter(path => !path.includes('/')).toSorted()).toEqual(['app.ts', 'main.ts'])
})

test('arrows go down: no room imports from one above it', () => {
  const rank = (path: string) => ROOMS.indexOf(roomOf(path))
  const upward = imports.filter(({ path, to }) => rank(path) !== -1 && rank(to) > rank(path))
  expect(upward.map(({ path, to }) => `${path} imports ${to}`)).toEqual([])
})

test('what stands below the webhooks knows nothing of the builder but the list of migrations', () => {
  const below = ROOMS.slice(0, ROOMS.indexOf('webhooks'))
  const upward = imports.filter(({ path, to }) => below.includes(roomOf(path)) && YOURS.includes(roomOf(to)))
  // Whatever opens the database runs them, each command too: an argument would have to come from everywhere.
  const known = ['storage/migrate.ts imports integration/migrations/index.ts']
  expect(upward.map(({ path, to }) => `${path} imports ${to}`)).toEqual(known)
})
