import { describe, expect, test } from 'vitest'
import { ConfigError, loadConfig } from '../../src/config/settings.ts'
import { describe as describeVariable, VARIABLE_NAMES } from '../../src/config/variables.ts'
import { nearestName } from '../../src/process/nearest-name.ts'
import { providers } from '../../src/webhooks/providers/index.ts'

type Env = Record<string, string>

const refusal = (env: Env) => {
  try {
    loadConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  return undefined
}

const PROVIDERS = ['ENTRUPY', 'AGHANIM', 'BARKER', 'STANDARD'].map(name => `${name}_WEBHOOK_SECRET`) // part: senders
const PROMISED = [
  'REVENTO_CLIENT_ID',
  'REVENTO_CLIENT_SECRET',
  'REVENTO_WEBHOOK_SECRET',
  'REVENTO_WEBHOOK_SECRET_PREVIOUS',
  'REVENTO_REDIRECT_URI',
  'REVENTO_EVENT_ID',
  'SANDBOX_EVENT_ID',
  'REVENTO_SCOPES',
  'REVENTO_USER_SCOPES',
  'REVENTO_AUTH_BASE',
  'REVENTO_API_BASE',
  'APP_NAME',
  'HOST',
  'PORT',
  'DATABASE_URL',
  'ENCRYPTION_KEY',
  'ENCRYPTION_KEY_PREVIOUS',
  ...[...PROVIDERS, 'WEBHOOK_VERIFY_TOKEN'].flatMap(name => [name, `${name}_PREVIOUS`]), // part: senders
  'SANDBOX_PORT',
  'LOG_LEVEL',
  'TRUST_PROXY',
  'WEBHOOK_BODY_LIMIT',
  'SYNC_EVERY_HOURS',
  'RETENTION_DAYS',
  'PAYLOAD_DAYS',
  'HANDLER_CONCURRENCY',
  'METRICS_PORT',
  'OPERATOR_TOKEN',
  'STATE_TTL_S',
]

test('the table holds every promised variable, NODE_ENV, and two for each provider', () => {
  const ofProviders = providers.flatMap(p => [p.secret.variable, `${p.secret.variable}_PREVIOUS`])
  expect(new Set(VARIABLE_NAMES)).toEqual(new Set([...PROMISED, 'NODE_ENV', ...ofProviders]))
})

test('every variable says what to type', () => {
  for (const name of VARIABLE_NAMES) expect(describeVariable(name), name).toMatch(/\S{3}/)
})

describe('forms', () => {
  test.each(VARIABLE_NAMES)('%s is refused when it is blank, padded or quoted', name => {
    for (const value of ['', '  ', '\t', '\n']) expect(refusal({ [name]: value })).toContain('is blank')
    for (const value of [' 3000', '3000 ', '3000\n', '\u00a03000'])
      expect(refusal({ [name]: value })).toContain('has spaces around it')
    for (const value of ['"3000"', "'3000'"]) expect(refusal({ [name]: value })).toContain('is in quotes')
  })

  const SECRETS = VARIABLE_NAMES.filter(name => /_(ID|SECRET|TOKEN)(_PREVIOUS)?$/.test(name))
  test.each(SECRETS)('a placeholder is refused as %s', name => {
    for (const value of ['<your-id>', 'your-client-id', 'changeme', 'CHANGE_ME', 'xxxxxxxx', '........'])
      expect(refusal({ [name]: value }), value).toContain(`${name}`)
    for (const value of ['replace-me', 'placeholder', 'TODO', 'secret', 'example'])
      expect(refusal({ [name]: value }), value).toMatch(new RegExp(`${name} +is a placeholder`))
  })

  test.each([
    ['PORT', 1, 65_535],
    ['SANDBOX_PORT', 1, 65_535],
    ['METRICS_PORT', 1, 65_535],
    ['STATE_TTL_S', 60, 3600],
    ['HANDLER_CONCURRENCY', 1, 100],
    ['WEBHOOK_BODY_LIMIT', 1024, 16_777_216],
    ['SYNC_EVERY_HOURS', 0, 720],
    ['RETENTION_DAYS', 30, 3650],
  ] as const)('takes %s from %d to %d and nothing outside', (name, lowest, highest) => {
    for (const value of [lowest, highest]) expect(refusal({ [name]: String(value) })).toBeUndefined()
    for (const value of [lowest - 1, highest + 1, -lowest - 1, 1e15])
      expect(refusal({ [name]: String(value) }), String(value)).toContain(name)
  })

  test.each(['0x1000', '3e3', '3000.0', '3000.5', '+3000', '03000', 'true', '3000n', '3,000', 'NaN', '٣٠٠٠'])(
    'refuses %s as a number',
    value => {
      expect(refusal({ PORT: value })).toMatch(/PORT +must be a port, 1 to 65535/)
    },
  )

  test.each([
    ['without a path', 'https://app.example.com'],
    ['with a trailing slash', 'https://app.example.com/callback/'],
    ['with another path', 'https://app.example.com/oauth'],
    ['with an empty query', 'https://app.example.com/callback?'],
    ['with a query', 'https://app.example.com/callback?a=1'],
    ['with a query that looks like the path', 'https://app.example.com/?x=/callback'],
    ['with a fragment', 'https://app.example.com/callback#x'],
    ['with an empty fragment', 'https://app.example.com/callback#'],
    ['with a user', 'https://user@app.example.com/callback'],
    ['with a password', 'https://user:pass@app.example.com/callback'],
    ['with an empty user', 'https://@app.example.com/callback'],
    ['with a backslash', 'https://app.example.com\\callback'],
    ['with a space inside', 'https://app.example.com/a b/callback'],
    ['of another scheme', 'ftp://app.example.com/callback'],
    ['that is no URL', 'https://[::1/callback'],
    ['that is relative', '/callback'],
  ])('refuses a redirect URI %s', (_, uri) => {
    expect(refusal({ REVENTO_REDIRECT_URI: uri })).toContain('REVENTO_REDIRECT_URI')
  })

  test.each([
    'http://localhost:3000/callback',
    'https://app.example.com/callback',
    'http://[::1]:3000/callback',
  ])('keeps the redirect URI %s byte for byte', uri => {
    expect(loadConfig({ REVENTO_REDIRECT_URI: uri }).redirectUri).toBe(uri)
  })

  test.each([
    ['DATABASE_URL', 'postgres://localhost'],
    ['DATABASE_URL', 'postgres://user:pass/word@host:x/revento'],
    ['DATABASE_URL', 'mysql://localhost/revento'],
    ['DATABASE_URL', 'sqlite:'],
    ['ENCRYPTION_KEY', Buffer.alloc(31).toString('base64')],
    ['ENCRYPTION_KEY', Buffer.alloc(33).toString('base64')],
    ['ENCRYPTION_KEY', Buffer.alloc(32).toString('hex')],
    ['APP_NAME', 'a\tname'],
    ['APP_NAME', 'a'.repeat(61)],
    ['LOG_LEVEL', 'INFO'],
    ['NODE_ENV', 'prod'],
    ['REVENTO_SCOPES', 'event.read,participants.read'],
    ['REVENTO_EVENT_ID', '../evt'],
    ['SANDBOX_EVENT_ID', '../evt'],
    ['REVENTO_CLIENT_SECRET', 'short'],
    ['TRUST_PROXY', 'true'],
    ['TRUST_PROXY', '1'],
    ['TRUST_PROXY', '10.0.0.0/33'],
    ['TRUST_PROXY', '999.0.0.1'],
    ['TRUST_PROXY', '::1/129'],
    ['TRUST_PROXY', '10.0.0.1,'],
    ['TRUST_PROXY', '10.0.0.0/8/8'],
  ])('refuses %s=%s', (name, value) => {
    expect(refusal({ [name]: value })).toContain(name)
  })

  test('proxy addresses and ranges of both families are taken', () => {
    const ranges = ['10.0.0.1', '10.0.0.0/8', '::1', 'fd00::/8']
    expect(loadConfig({ TRUST_PROXY: ranges.join(',') }).trustProxy).toEqual(ranges)
  })
})

describe('names', () => {
  test.each([
    ['REVENTO_CLIENT_IDD', 'REVENTO_CLIENT_ID'],
    ['REVENTO_WEBHOK_SECRET', 'REVENTO_WEBHOOK_SECRET'],
    ['REVENTO_REDIRECT_URL', 'REVENTO_REDIRECT_URI'],
    ['DATABSE_URL', 'DATABASE_URL'],
    ['SANDBOX_PROT', 'SANDBOX_PORT'],
  ])('warns of %s and names %s', (wrong, right) => {
    expect(nearestName(wrong, VARIABLE_NAMES)).toBe(right)
    expect(loadConfig({ [wrong]: 'value' }).warnings).toEqual([
      `${wrong} is not a setting; did you mean ${right}?`,
    ])
  })

  test('a REVENTO_ name that resembles nothing is said to be no setting', () => {
    expect(loadConfig({ REVENTO_QQQQQQQQQQQQQQQQ: 'x' }).warnings).toEqual([
      'REVENTO_QQQQQQQQQQQQQQQQ is not a setting',
    ])
  })

  test('a misspelt name is shown beside the one it leaves missing', () => {
    const env = {
      REVENTO_CLIENT_ID: 'a-client',
      REVENTO_CLIENT_SECRET: 'a-secret-1',
      REVENTO_WEBHOOK_SECERT: 'b',
    }
    expect(refusal(env)).toContain(
      'REVENTO_WEBHOOK_SECERT is not a setting; did you mean REVENTO_WEBHOOK_SECRET?',
    )
  })

  test('nothing is said of the names of a usual environment', () => {
    const usual = [
      'PATH',
      'HOME',
      'LC_ALL',
      'SSH_AUTH_SOCK',
      'npm_config_user_agent',
      'XDG_RUNTIME_DIR',
      'NODE_OPTIONS',
    ]
    expect(loadConfig(Object.fromEntries(usual.map(name => [name, 'x']))).warnings).toEqual([])
  })
})
