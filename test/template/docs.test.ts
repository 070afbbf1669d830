import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DAYS } from '../../src/cli/develop/drill/days.ts'
import { VARIABLE_NAMES } from '../../src/config/variables.ts'
import { ERRORS } from '../../src/http/errors.ts'
import { senders } from '../../src/integration/senders/index.ts'
import { settings } from '../../src/integration/settings.ts'
import type { Provider } from '../../src/webhooks/verify/provider.ts'
import { startApp, type TestApp } from '../helpers/app.ts'
import { SENDERS_ENV } from '../helpers/senders.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
const readme = read('README.md')
const example = read('.env.example')
const found = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(match => match[1] ?? '')
/** Expects the same names in any order, and none twice. */
function expectSame(a: readonly string[], b: readonly string[]): void {
  expect(new Set(a)).toEqual(new Set(b))
  expect(a.length).toBe(b.length)
}

describe('the README', () => {
  test('the README has at most 200 lines', () => {
    expect(readme.trimEnd().split('\n').length).toBeLessThanOrEqual(200)
  })

  test('the README names only commands that exist', () => {
    const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> }
    const commands = [
      ...found(readme, /npm run (?:-s )?([a-z][a-z-]*)/g),
      ...found(readme, /npm (start|test)\b/g),
    ]
    expect(commands).toEqual(expect.arrayContaining(['check', 'start', 'test']))
    for (const command of commands) expect(Object.keys(scripts)).toContain(command)
    const own = Object.keys(scripts).filter(name => name !== 'postinstall')
    expect(new Set(commands)).toEqual(new Set(own))
  })

  test('the README quotes only words that the pages show', () => {
    const start = readme.slice(0, readme.indexOf('## Make it yours')).replaceAll(/\s+/g, ' ')
    // A button that begins with a plus is put together of a number and a unit.
    const quoted = found(start, /"([^"]+)"/g).filter(words => !words.startsWith('+'))
    expect(quoted.length).toBeGreaterThanOrEqual(3)
    const pages = readdirSync('src', { recursive: true, encoding: 'utf8' }).filter(name =>
      name.endsWith('.ts'),
    )
    const shown = pages.map(name => read(`src/${name}`)).join('\n')
    expect(quoted.filter(words => !shown.includes(words))).toEqual([])
  })

  test('the README names only variables that exist', () => {
    const names = found(readme, /\b([A-Z]+(?:_[A-Z]+)+)\b/g)
    expect(names).toContain('REVENTO_CLIENT_SECRET')
    for (const name of names) expect([...VARIABLE_NAMES, 'TEST_DATABASE_URL', 'FETCH_HEAD']).toContain(name)
  })

  test('the README names only files that exist', () => {
    const paths = found(readme, /`((?:src|test)\/[\w./-]*)`/g)
    expect(paths.length).toBeGreaterThan(10)
    for (const path of paths)
      expect([path, existsSync(new URL(`../../${path}`, import.meta.url))]).toEqual([path, true])
  })

  test('the README counts the bad days of the drill', () => {
    expect(readme).toContain(`${DAYS.length} bad days`)
  })

  test('the README names only error codes that exist', () => {
    const codes = found(readme, /`((?:state|invalid|configuration|reconsent|upstream)_[a-z_]+)`/g)
    expect(codes).toContain('state_mismatch')
    for (const code of codes) expect([...Object.keys(ERRORS), 'invalid_grant']).toContain(code)
  })
})

/** Each line of the tree has its parent's path before its own, four columns to the left. */
function routes(tree: string): string[] {
  const above: string[] = []
  return tree.split('\n').flatMap(line => {
    const [, left = '', part = '', methods = ''] = /^(.*)── (\S*)(?: \(([A-Z, ]+)\))?$/.exec(line) ?? []
    above.splice(left.length / 4, above.length, part)
    return methods.split(', ').map(method => `${method} ${above.join('').replace(/^\/?/, '/')}`)
  })
}

/** What a builder adds is described in a folder of theirs. */
const ownRoutes = Object.keys(senders).map(name => `POST /webhooks/${name}`)
const ownVariables = [
  ...Object.keys(settings),
  ...Object.values<Provider>(senders).flatMap(({ secret: { variable } }) => [
    variable,
    `${variable}_PREVIOUS`,
  ]),
]

describe('the route table', () => {
  let app: TestApp
  beforeAll(async () => {
    const env = { ...SENDERS_ENV, REVENTO_USER_SCOPES: 'profile.read' }
    app = await startApp({ env, handlers: { revento: {} } })
  })
  afterAll(() => app.close())

  test('the route table lists every route and no other', () => {
    const table = readme.slice(readme.indexOf('## Routes'), readme.indexOf('## Deploy'))
    const firstCells = found(table, /^\| (`(?:GET|POST) \/[^|]*) \|/gm)
    const listed = firstCells.flatMap(cell => found(cell, /`((?:GET|POST) \/[^`]*)`/g))
    const served = routes(app.app.printRoutes({ commonPrefix: false })).filter(
      route => /^(GET|POST) /.test(route) && !/\.(css|svg|js)$/.test(route) && !ownRoutes.includes(route),
    )
    expect(served.length).toBeGreaterThan(5)
    expectSame(listed, served)
  })
})

describe('.env.example', () => {
  const names = found(example, /^#?([A-Z][A-Z_]+)=/gm)

  test('.env.example holds every variable once, and no other', () => {
    const isOurs = (name: string) => !ownVariables.includes(name)
    expectSame(names.filter(isOurs), VARIABLE_NAMES.filter(isOurs))
  })

  test('.env.example changes nothing when it is copied as it is', () => {
    expect(found(example, /^([A-Z_]+)=/gm)).toEqual([])
  })
})
