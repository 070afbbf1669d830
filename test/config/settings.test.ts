import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { SANDBOX_CREDENTIALS } from '../../src/config/checks.ts'
import { ConfigError, loadConfig } from '../../src/config/settings.ts'
import { VARIABLE_NAMES } from '../../src/config/variables.ts'
import { storeName } from '../../src/storage/database.ts'
import { providers } from '../../src/webhooks/providers/index.ts' // part: senders

type Env = Record<string, string>

const KEY = Buffer.alloc(32, 5).toString('base64')
const OLD_KEY = Buffer.alloc(32, 6).toString('base64')
const CREDENTIALS = {
  REVENTO_CLIENT_ID: 'client-1',
  REVENTO_CLIENT_SECRET: 'client-secret-1',
  REVENTO_WEBHOOK_SECRET: 'webhook-secret-1',
}
const PRODUCTION = {
  ...CREDENTIALS,
  NODE_ENV: 'production',
  ENCRYPTION_KEY: KEY,
  REVENTO_REDIRECT_URI: 'https://app.example.com/callback',
}

/** Returns the problems of a refused configuration: name -> what is said of it. */
function problems(env: Env): Record<string, string> {
  try {
    loadConfig(env)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const lines = error.message.split('\n').filter(line => /^ {2}[A-Z]/.test(line))
    return Object.fromEntries(lines.map(line => [line.trim().split(' ', 1)[0], line.trim().slice(1)]))
  }
  return {}
}
const names = (env: Env) => new Set(Object.keys(problems(env)))

describe('defaults and modes', () => {
  test('nothing set is the sandbox with the documented defaults', () => {
    expect(names({ PAYLOAD_DAYS: '31' })).toEqual(new Set(['PAYLOAD_DAYS']))
    expect(loadConfig({ PAYLOAD_DAYS: '2' })).toMatchObject({ payloadDays: 2, retentionDays: 30 })
    expect(loadConfig({})).toMatchObject({
      mode: 'sandbox',
      production: false,
      host: '127.0.0.1',
      port: 3000,
      redirectUri: 'http://localhost:3000/callback',
      origin: 'http://localhost:3000',
      https: false,
      scopes: 'event.read participants.read',
      defaultEventId: 'evt_test_published',
      store: { kind: 'sqlite', path: expect.stringMatching(/\/data\/revento\.db$/) },
      sandboxFile: expect.stringMatching(/\/data\/revento\.db\.sandbox\.json$/),
      keyFile: expect.stringMatching(/\/data\/encryption\.key$/),
      encryptionKey: undefined,
      bodyLimit: 262_144,
      handlerConcurrency: 10,
      stateTtlMs: 600_000,
      trustProxy: [],
      logLevel: 'info',
      warnings: [],
    })
  })

  test('the app has an event of its own on the sandbox only, under its new name or its old one', () => {
    const eventOf = (env: Env) => loadConfig(env).defaultEventId
    const named = { REVENTO_EVENT_ID: 'evt_new' }
    expect(eventOf(CREDENTIALS)).toBeUndefined()
    for (const mode of [{}, CREDENTIALS]) {
      expect(eventOf({ ...mode, SANDBOX_EVENT_ID: 'evt_old' })).toBe('evt_old')
      expect(eventOf({ ...mode, ...named, SANDBOX_EVENT_ID: 'evt_old' })).toBe('evt_new')
    }
    expect(loadConfig({ REVENTO_EVNT_ID: 'evt_1' }).warnings).toEqual([
      'REVENTO_EVNT_ID is not a setting; did you mean REVENTO_EVENT_ID?',
    ])
  })

  test("with a PostgreSQL the app's own files stay in data/", () => {
    const url = 'postgres://user:p%40ss@db.example.com:5433/revento?sslmode=require'
    expect(loadConfig({ DATABASE_URL: url })).toMatchObject({
      store: { kind: 'postgres', url },
      keyFile: expect.stringMatching(/\/data\/encryption\.key$/),
      sandboxFile: expect.stringMatching(/\/data\/sandbox\.json$/),
    })
    expect(storeName({ kind: 'postgres', url })).toBe('postgres://db.example.com:5433/revento')
  })

  test('the sandbox mode goes to the sandbox port, on loopback', () => {
    const { authBase, apiBase, clientId } = loadConfig({ SANDBOX_PORT: '4100' })
    expect(authBase).toBe('http://127.0.0.1:4100')
    expect(apiBase).toBe('http://127.0.0.1:4100/api/v1')
    expect(clientId).toBe(SANDBOX_CREDENTIALS.clientId)
  })

  test('all three credentials are the real platform', () => {
    const config = loadConfig(CREDENTIALS)
    expect(config).toMatchObject({
      mode: 'real',
      authBase: 'https://auth.revento.example',
      apiBase: 'https://api.revento.example/api/v1',
      clientId: 'client-1',
      webhookSecrets: { current: 'webhook-secret-1', previous: undefined },
    })
  })

  test('the redirect URI follows from PORT, and the bases lose trailing slashes', () => {
    const config = loadConfig({ ...CREDENTIALS, PORT: '8080', REVENTO_API_BASE: 'https://api.test/v1//' })
    expect(config.redirectUri).toBe('http://localhost:8080/callback')
    expect(config.apiBase).toBe('https://api.test/v1')
  })

  test('a complete production environment is accepted', () => {
    const config = loadConfig({ ...PRODUCTION, ENCRYPTION_KEY_PREVIOUS: OLD_KEY })
    expect(config).toMatchObject({ mode: 'real', production: true, https: true })
    expect(config.encryptionKey).toEqual(Buffer.alloc(32, 5))
    expect(config.origin).toBe('https://app.example.com')
  })

  test('the configuration is frozen, with everything in it', () => {
    const config = loadConfig({ TRUST_PROXY: '10.0.0.1' })
    for (const part of [config, config.webhookSecrets, config.trustProxy, config.warnings])
      expect(Object.isFrozen(part)).toBe(true)
    expect(() => Object.assign(config, { port: 1 })).toThrow(TypeError)
  })
})

describe('refusals', () => {
  const subsets = [1, 2, 3, 4, 5, 6].map(bits =>
    Object.fromEntries(Object.entries(CREDENTIALS).filter((_, i) => bits & (1 << i))),
  )
  test.each(subsets)('some of the credentials are refused, and the missing ones named: %o', set => {
    const missing = Object.keys(CREDENTIALS).filter(name => !(name in set))
    expect(names(set)).toEqual(new Set(missing))
    for (const text of Object.values(problems(set))) expect(text).toContain('or set none of the three')
  })

  test('production without settings lists every missing one at once, and no way around', () => {
    const found = problems({ NODE_ENV: 'production' })
    expect(new Set(Object.keys(found))).toEqual(
      new Set(['ENCRYPTION_KEY', ...Object.keys(CREDENTIALS), 'REVENTO_REDIRECT_URI']),
    )
    expect(found['ENCRYPTION_KEY']).toContain('openssl rand -base64 32')
    expect(JSON.stringify(found)).not.toContain('none of the three')
  })

  test('problems of every kind are listed together', () => {
    const env = { ...CREDENTIALS, PORT: '0', LOG_LEVEL: 'loud', ENCRYPTION_KEY: 'short', HOST: ' ' }
    expect(names(env)).toEqual(new Set(['ENCRYPTION_KEY', 'HOST', 'LOG_LEVEL', 'PORT']))
  })

  test.each(Object.values(SANDBOX_CREDENTIALS))(
    'a sandbox credential is refused in production: %s',
    known => {
      for (const name of [...Object.keys(CREDENTIALS), 'REVENTO_WEBHOOK_SECRET_PREVIOUS']) {
        expect(problems({ ...PRODUCTION, [name]: known })[name]).toContain("sandbox's")
        expect(names({ ...CREDENTIALS, [name]: known })).toEqual(new Set())
      }
    },
  )

  test.each(['REVENTO_AUTH_BASE', 'REVENTO_API_BASE'])('%s without credentials is refused', name => {
    expect(problems({ [name]: 'https://auth.test' })[name]).toContain('set without credentials')
  })

  test.each(['REVENTO_AUTH_BASE', 'REVENTO_API_BASE', 'REVENTO_REDIRECT_URI'])(
    'refuses an http %s in production, and takes it in development',
    name => {
      const url = { [name]: 'http://app.example.com/callback' }
      expect(problems({ ...PRODUCTION, ...url })[name]).toContain('https in production')
      expect(names({ ...CREDENTIALS, ...url })).toEqual(new Set())
    },
  )

  test('a problem never prints a value, whatever is wrong', () => {
    const value = fc.string({ minLength: 12, maxLength: 40, unit: fc.constantFrom(...'QZJXqzjx7£ ') })
    fc.assert(
      fc.property(fc.constantFrom(...VARIABLE_NAMES), value, (name, text) => {
        for (const env of [{ ...PRODUCTION, [name]: text }, { [name]: text }]) {
          try {
            loadConfig(env)
          } catch (error) {
            expect(String(error)).not.toContain(text)
          }
        }
      }),
    )
  })
})

// part: senders {
describe('the other senders', () => {
  const KNOWN = Object.fromEntries(
    providers.filter(p => p.name !== 'revento').map(p => [p.secret.variable, p.secret.sandbox]),
  )

  test('the other senders are all on in the sandbox, and none is without a secret on the real platform', () => {
    expect(Object.keys(loadConfig({}).providerSecrets)).toEqual(providers.map(p => p.name))
    expect(loadConfig({}).verifyToken).toBeDefined()
    expect(Object.keys(loadConfig(CREDENTIALS).providerSecrets)).toEqual(['revento'])
    expect(loadConfig(CREDENTIALS).verifyToken).toBeUndefined()
  })

  test('the other senders have the secrets that were given, two each', () => {
    const given = { BARKER_WEBHOOK_SECRET: 'a key', WEBHOOK_VERIFY_TOKEN: 'token-of-mine' }
    expect(names({ ...CREDENTIALS, ...given })).toEqual(new Set(['BARKER_WEBHOOK_SECRET']))
    const right = { ...given, BARKER_WEBHOOK_SECRET: 'key', BARKER_WEBHOOK_SECRET_PREVIOUS: 'k' }
    for (const env of [right, { ...CREDENTIALS, ...right }]) {
      const { providerSecrets, verifyToken } = loadConfig(env)
      expect(providerSecrets['barker']).toEqual({ current: 'key', previous: 'k' })
      expect(verifyToken).toEqual({ current: 'token-of-mine', previous: undefined })
      for (const part of [providerSecrets, providerSecrets['barker'], verifyToken])
        expect(Object.isFrozen(part)).toBe(true)
    }
  })

  test.each([...Object.entries(KNOWN), ['WEBHOOK_VERIFY_TOKEN', 'sandbox-verify-token']])(
    'refuses a %s that everybody knows beside the real platform, as the previous one too',
    (name, known) => {
      for (const variable of [name, `${name}_PREVIOUS`])
        for (const real of [CREDENTIALS, PRODUCTION]) {
          expect(problems({ ...real, [variable]: known })[variable]).toContain('known to everybody')
        }
      expect(names({ [name]: known })).toEqual(new Set())
    },
  )

  test.each([
    'whsec_',
    'whsec_AAAA',
    'AAECAwQFBgcICQoLDA0ODw==',
    'whsec_AAECAwQFBgcICQoLDA0ODw',
    'whsec_!!!!',
  ])('refuses %s as a Standard Webhooks secret', secret => {
    expect(names({ STANDARD_WEBHOOK_SECRET: secret })).toEqual(new Set(['STANDARD_WEBHOOK_SECRET']))
  })
})
// part: senders }

test('warns where others could reach an app with the published secrets, and of hosts that answer nowhere', () => {
  expect(loadConfig({}).warnings).toEqual([])
  expect(loadConfig({ HOST: '0.0.0.0' }).warnings).toEqual([expect.stringContaining('published secret')])
  const real = {
    REVENTO_CLIENT_ID: 'id-1',
    REVENTO_CLIENT_SECRET: 'abcdefgh-1',
    REVENTO_WEBHOOK_SECRET: 'abcdefgh-2',
  }
  expect(loadConfig(real).warnings).toHaveLength(2)
  const hosts = { REVENTO_AUTH_BASE: 'https://auth.r.io', REVENTO_API_BASE: 'https://api.r.io/v1' }
  expect(loadConfig({ ...real, ...hosts }).warnings).toEqual([])
})

test.for(['https://a:b@h', 'https://h/?x=y', 'https://h/#z'])(
  'refuses the base %s without printing it',
  base => {
    const real = {
      REVENTO_CLIENT_ID: 'id-1',
      REVENTO_CLIENT_SECRET: 'abcdefgh-1',
      REVENTO_WEBHOOK_SECRET: 'abcdefgh-2',
    }
    const load = () => loadConfig({ ...real, REVENTO_AUTH_BASE: base, REVENTO_API_BASE: base })
    expect(load).toThrow('REVENTO_AUTH_BASE')
    expect(load).toThrow('REVENTO_API_BASE')
    expect(load).not.toThrow(base)
  },
)

test('refuses one port for the app and its sandbox', () => {
  expect(() => loadConfig({ PORT: '4000', SANDBOX_PORT: '4000' })).toThrow('SANDBOX_PORT')
})

test('metrics have a port of their own', () => {
  expect(loadConfig({}).metricsPort).toBeUndefined()
  expect(loadConfig({ METRICS_PORT: '9464' })).toMatchObject({ metricsPort: 9464, warnings: [] })
  for (const METRICS_PORT of ['3000', '3100'])
    expect(names({ METRICS_PORT })).toEqual(new Set(['METRICS_PORT']))
  // There is no sandbox beside the real platform.
  expect(names({ ...CREDENTIALS, METRICS_PORT: '3000' })).toEqual(new Set(['METRICS_PORT']))
  expect(names({ ...CREDENTIALS, METRICS_PORT: '3100' })).toEqual(new Set())
})
