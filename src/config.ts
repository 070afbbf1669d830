import { readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { dirname, join, resolve } from 'node:path'
import { parse } from 'dotenv'
import type { Static } from 'typebox'
import { Value } from 'typebox/value'
import {
  describe,
  isInteger,
  nearestName,
  VARIABLE_NAMES,
  Variables,
  WITHOUT_EFFECT_YET,
} from './variables.ts'
import type { Secrets } from './webhooks/provider.ts'

type Env = Readonly<Record<string, string | undefined>>
type Settings = Static<typeof Variables>
type Problems = Map<string, string>

const CREDENTIALS = ['REVENTO_CLIENT_ID', 'REVENTO_CLIENT_SECRET', 'REVENTO_WEBHOOK_SECRET'] as const

/** Known to everybody who reads this file: good for the sandbox on loopback only, refused in production. */
export const SANDBOX_CREDENTIALS = {
  clientId: 'sandbox-client',
  clientSecret: 'sandbox-client-secret-for-development-only',
  webhookSecret: 'sandbox-webhook-secret-for-development-only',
} as const

export interface Config {
  /** `sandbox`: the built-in pretend Revento is started and used over HTTP. */
  readonly mode: 'sandbox' | 'real'
  readonly production: boolean
  readonly host: string
  readonly port: number
  readonly sandboxPort: number
  readonly clientId: string
  readonly clientSecret: string
  readonly webhookSecrets: Secrets
  readonly authBase: string
  readonly apiBase: string
  readonly scopes: string
  /** Sent byte for byte in both OAuth requests, and the only source of our own origin. */
  readonly redirectUri: string
  readonly origin: string
  readonly https: boolean
  readonly defaultEventId: string
  readonly databasePath: string
  /** Absent in development: then the key in `keyFile` is used, made on the first start. */
  readonly encryptionKey: Buffer | undefined
  readonly encryptionKeyPrevious: Buffer | undefined
  readonly keyFile: string
  readonly trustProxy: readonly string[]
  readonly logLevel: string
  readonly stateTtlMs: number
  readonly handlerConcurrency: number
  readonly bodyLimit: number
  /** Started by `npm start`, whose shell does not pass signals on. */
  readonly underNpm: boolean
  /** Worth a line in the log: misspelt names, settings that do nothing yet. */
  readonly warnings: readonly string[]
}

export class ConfigError extends Error {
  constructor(problems: Problems, warnings: readonly string[]) {
    const width = Math.max(...[...problems.keys()].map(name => name.length))
    const lines = [...problems].map(([name, problem]) => `  ${name.padEnd(width)}  ${problem}`)
    const hints = warnings.map(warning => `  note: ${warning}`)
    const count = problems.size === 1 ? '1 setting is' : `${problems.size} settings are`
    super([`${count} missing or wrong:`, ...lines, ...hints, 'See .env.example.'].join('\n'))
    this.name = 'ConfigError'
  }
}

/** The environment over the `.env` file in the working directory. */
export function readEnvironment(overrides: Env): Env {
  let file: Env = {}
  try {
    file = parse(readFileSync('.env'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  return { ...file, ...process.env, ...overrides }
}

/** Pure: the same environment gives the same Config, or a ConfigError that lists every problem at once. */
export function loadConfig(env: Env): Config {
  const problems: Problems = new Map()
  const warnings = nameWarnings(env)
  const settings = readSettings(env, problems)
  const production = env['NODE_ENV'] === 'production'
  const sandbox = !production && CREDENTIALS.every(name => env[name] === undefined)
  if (sandbox) checkSandbox(env, problems)
  else checkReal(env, settings, problems, production)
  checkRedirectUri(settings.REVENTO_REDIRECT_URI, problems, production)
  checkTrustProxy(settings.TRUST_PROXY, problems)
  if (problems.size > 0) throw new ConfigError(problems, warnings)
  return freeze(settings, { sandbox, production, underNpm: env['npm_lifecycle_event'] === 'start' }, warnings)
}

function readSettings(env: Env, problems: Problems): Settings {
  const given: Record<string, unknown> = {}
  for (const name of VARIABLE_NAMES) {
    const value = env[name]
    if (value === undefined) continue
    const slip = slipIn(name, value)
    if (slip) problems.set(name, `${slip}: ${describe(name)}`)
    else given[name] = isInteger(name) && DECIMAL.test(value) ? Number(value) : value
  }
  const settings = Value.Default(Variables, given)
  for (const error of Value.Errors(Variables, settings)) {
    const name = error.instancePath.slice(1)
    if (!problems.has(name)) problems.set(name, `must be ${describe(name)}`)
  }
  return settings as Settings
}

/** Nothing else is a number here: `Number` and typebox's conversion also take 0x10, 3e3 and true. */
const DECIMAL = /^(0|[1-9]\d{0,9})$/

const PLACEHOLDER =
  /^<.*>$|^\.+$|^x{3,}$|your[-_ ]|change[-_ ]?me|replace[-_ ]?me|placeholder|^todo$|^secret$|^example$/i

function slipIn(name: string, value: string): string | undefined {
  if (value.trim() === '') return 'is blank; give a value or remove the line'
  if (value !== value.trim()) return 'has spaces around it'
  if (/^(["']).*\1$/.test(value)) return 'is in quotes; remove them'
  if (/_(ID|SECRET|TOKEN)(_PREVIOUS)?$/.test(name) && PLACEHOLDER.test(value)) return 'is a placeholder'
  return undefined
}

function checkSandbox(env: Env, problems: Problems): void {
  for (const name of ['REVENTO_AUTH_BASE', 'REVENTO_API_BASE'])
    if (env[name] !== undefined && !problems.has(name))
      problems.set(name, `is set without credentials: set ${CREDENTIALS.join(', ')} too, or remove it`)
}

function checkReal(env: Env, settings: Settings, problems: Problems, production: boolean): void {
  for (const name of CREDENTIALS)
    if (env[name] === undefined)
      problems.set(name, `is missing: ${describe(name)}${production ? '' : '; or set none of the three'}`)
  if (!production) return
  if (env['ENCRYPTION_KEY'] === undefined)
    problems.set('ENCRYPTION_KEY', `is missing: ${describe('ENCRYPTION_KEY')}`)
  for (const name of ['REVENTO_AUTH_BASE', 'REVENTO_API_BASE'] as const)
    if (settings[name] !== undefined && !settings[name].startsWith('https://'))
      problems.set(name, `must be https in production: ${describe(name)}`)
  const known: readonly unknown[] = Object.values(SANDBOX_CREDENTIALS)
  for (const name of CREDENTIALS)
    if (known.includes(settings[name])) problems.set(name, `is the sandbox's: ${describe(name)}`)
}

function checkRedirectUri(uri: string | undefined, problems: Problems, production: boolean): void {
  const name = 'REVENTO_REDIRECT_URI'
  if (problems.has(name)) return
  if (uri === undefined) {
    if (production) problems.set(name, `is missing: ${describe(name)}`)
    return
  }
  const url = URL.canParse(uri) ? new URL(uri) : undefined
  if (!url || url.username || url.password || /[?#\\]|\/\/@/.test(uri))
    problems.set(name, `must be a plain URL: ${describe(name)}`)
  else if (!url.pathname.endsWith('/callback')) problems.set(name, `must end with /callback, without a slash`)
  else if (production && url.protocol !== 'https:')
    problems.set(name, `must be https in production: ${describe(name)}`)
}

function checkTrustProxy(list: string | undefined, problems: Problems): void {
  const name = 'TRUST_PROXY'
  if (list === undefined || problems.has(name)) return
  const isRange = (range: string) => {
    const [address = '', bits, ...rest] = range.split('/')
    const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
    return most > 0 && rest.length === 0 && (bits === undefined || (DECIMAL.test(bits) && +bits <= most))
  }
  if (!list.split(',').every(isRange)) problems.set(name, `must be ${describe(name)}`)
}

function nameWarnings(env: Env): string[] {
  const unknown = Object.keys(env).filter(name => name.includes('_') && !VARIABLE_NAMES.includes(name))
  const slips = unknown.flatMap(name => {
    const nearest = nearestName(name)
    if (nearest && env[nearest] === undefined) return [`${name} is not a setting; did you mean ${nearest}?`]
    return name.startsWith('REVENTO_') ? [`${name} is not a setting`] : []
  })
  const idle = WITHOUT_EFFECT_YET.filter(name => env[name] !== undefined)
  return [...slips, ...idle.map(name => `${name} has no effect in this version`)]
}

interface Circumstances {
  sandbox: boolean
  production: boolean
  underNpm: boolean
}

function freeze(s: Settings, { sandbox, production, underNpm }: Circumstances, warnings: string[]): Config {
  const redirectUri = s.REVENTO_REDIRECT_URI ?? `http://localhost:${s.PORT}/callback`
  const databasePath = resolve(s.DATABASE_URL.slice('sqlite:'.length))
  const sandboxBase = `http://127.0.0.1:${s.SANDBOX_PORT}`
  const base = (given: string | undefined, real: string, play: string) =>
    (sandbox ? play : (given ?? real)).replace(/\/+$/, '')
  const bytes = (text: string | undefined) => (text ? Buffer.from(text, 'base64') : undefined)
  return Object.freeze({
    mode: sandbox ? 'sandbox' : 'real',
    production,
    host: s.HOST,
    port: s.PORT,
    sandboxPort: s.SANDBOX_PORT,
    clientId: s.REVENTO_CLIENT_ID ?? SANDBOX_CREDENTIALS.clientId,
    clientSecret: s.REVENTO_CLIENT_SECRET ?? SANDBOX_CREDENTIALS.clientSecret,
    webhookSecrets: Object.freeze({
      current: s.REVENTO_WEBHOOK_SECRET ?? SANDBOX_CREDENTIALS.webhookSecret,
      previous: s.REVENTO_WEBHOOK_SECRET_PREVIOUS,
    }),
    authBase: base(s.REVENTO_AUTH_BASE, 'https://auth.revento.example', sandboxBase),
    apiBase: base(s.REVENTO_API_BASE, 'https://api.revento.example/api/v1', `${sandboxBase}/api/v1`),
    scopes: s.REVENTO_SCOPES,
    redirectUri,
    origin: new URL(redirectUri).origin,
    https: redirectUri.startsWith('https:'),
    defaultEventId: s.SANDBOX_EVENT_ID,
    databasePath,
    encryptionKey: bytes(s.ENCRYPTION_KEY),
    encryptionKeyPrevious: bytes(s.ENCRYPTION_KEY_PREVIOUS),
    keyFile: join(dirname(databasePath), 'encryption.key'),
    trustProxy: Object.freeze(s.TRUST_PROXY?.split(',') ?? []),
    logLevel: s.LOG_LEVEL,
    stateTtlMs: s.STATE_TTL_S * 1000,
    handlerConcurrency: s.HANDLER_CONCURRENCY,
    bodyLimit: s.WEBHOOK_BODY_LIMIT,
    underNpm,
    warnings: Object.freeze(warnings),
  })
}
