import { existsSync, readFileSync, statSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { loadConfig } from '../../src/config/settings.ts'
import { VARIABLE_NAMES } from '../../src/config/variables.ts'
import { parseYaml, type Yaml } from '../helpers/yaml.ts'

const url = (path: string) => new URL(`../../${path}`, import.meta.url)
const read = (path: string) => readFileSync(url(path), 'utf8')
const at = (yaml: Yaml, ...path: (string | number)[]): Yaml =>
  path.reduce<Yaml>((value, key) => (value as { [key: string | number]: Yaml } | null)?.[key] ?? null, yaml)

describe('compose.yaml', () => {
  const compose = parseYaml(read('compose.yaml'))
  const [app, database] = [at(compose, 'services', 'app'), at(compose, 'services', 'database')]
  const given = { ...(at(app, 'environment') as Record<string, string>) }
  const filled = (text: string) => text.replaceAll(/\$\{POSTGRES_PASSWORD:\?[^}]+\}/g, 'letters0')

  test('compose.yaml gives the app variables that exist, with values that a start in production takes', () => {
    expect(VARIABLE_NAMES).toEqual(expect.arrayContaining(Object.keys(given)))
    const env = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, filled(value)]))
    const { store, port } = loadConfig({
      ...env,
      NODE_ENV: 'production',
      REVENTO_CLIENT_ID: 'client',
      REVENTO_CLIENT_SECRET: 'client-secret-0123',
      REVENTO_WEBHOOK_SECRET: 'webhook-secret-0123',
      REVENTO_REDIRECT_URI: 'https://app.example.org/callback',
      ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
    })
    expect(store).toEqual({ kind: 'postgres', url: 'postgres://revento:letters0@database/revento' })
    expect(at(app, 'ports')).toEqual([`127.0.0.1:${port}:${port}`])
    expect([at(app, 'env_file'), at(app, 'build'), existsSync(url('Dockerfile'))]).toEqual([
      '.env',
      '.',
      true,
    ])
  })

  test('compose.yaml makes the database that the app asks for, and starts the app once it answers', () => {
    const made = at(database, 'environment') as Record<string, string>
    const asked = new URL(filled(given['DATABASE_URL'] ?? ''))
    expect([
      made['POSTGRES_USER'],
      filled(made['POSTGRES_PASSWORD'] ?? ''),
      `/${made['POSTGRES_DB']}`,
    ]).toEqual([asked.username, asked.password, asked.pathname])
    expect(Object.keys(at(compose, 'services') as object)).toContain(asked.hostname)
    expect(at(app, 'depends_on', 'database', 'condition')).toBe('service_healthy')
    expect(at(database, 'healthcheck', 'test')).toContain(`--username ${asked.username}`)
    expect(read('README.md')).toContain(`(tested with ${String(at(database, 'image')).split(':')[1]})`)
    const [volume = ''] = String(at(database, 'volumes', 0)).split(':')
    expect(Object.keys(at(compose, 'volumes') as object)).toEqual([volume])
  })
})

test('the workflow runs .ci/run, which may be run, and nothing else', () => {
  const workflow = parseYaml(read('.github/workflows/ci.yml'))
  const steps = at(workflow, 'jobs', 'run', 'steps') as Record<string, string>[]
  expect(steps.flatMap(({ run }) => run ?? [])).toEqual(['.ci/run'])
  expect(statSync(url('.ci/run')).mode & 0o111).not.toBe(0)
  const { engines } = JSON.parse(read('package.json')) as { engines: { node: string } }
  expect(engines.node).toMatch(new RegExp(`^>=${String(at(steps, 1, 'with', 'node-version'))}\\.`))
})

test('the reader of YAML refuses what it does not know', () => {
  expect(parseYaml('a:\n  - b: c\n    d: e\n  - f\ng:\n')).toEqual({ a: [{ b: 'c', d: 'e' }, 'f'], g: null })
  for (const text of ['a: "b"', 'a: [b]', 'a:\n\tb: c', 'a: b\na: c', 'a:\n    b: c\n  d: e', 'a'])
    expect(() => parseYaml(text), text).toThrow()
})
