import { dirname, join, resolve } from 'node:path'
import type { Forms } from '../builder/define.ts'
import { type Store, sqliteStore } from '../storage/database.ts'
import { providers } from '../webhooks/providers/index.ts'
import { revento } from '../webhooks/providers/revento.ts'
import type { Secrets } from '../webhooks/verify/provider.ts'
import {
  CREDENTIALS,
  checkBases,
  checkDatabaseUrl,
  checkHost,
  checkPayloadDays,
  checkPorts,
  checkPrevious,
  checkReal,
  checkRedirectUri,
  checkSandbox,
  checkSenders,
  checkTrustProxy,
  type Env,
  exposureWarnings,
  hostWarnings,
  nameWarnings,
  type Problems,
  SANDBOX_CREDENTIALS,
  SANDBOX_VERIFY_TOKEN, // part: senders
  senderSecrets,
  slipIn,
} from './checks.ts'
import { readEnvFile } from './env-file.ts'
import { readOwn } from './own.ts'
import { type Settings, VARIABLE_NAMES, VARIABLES } from './variables.ts'

export interface Config {
  /** In `sandbox` the built-in pretend Revento is started, and used over HTTP. */
  readonly mode: 'sandbox' | 'real'
  readonly production: boolean
  readonly appName: string
  readonly host: string
  readonly port: number
  readonly sandboxPort: number
  /** The port of the metrics listener; no listener when unset. */
  readonly metricsPort: number | undefined
  readonly clientId: string
  readonly clientSecret: string
  readonly webhookSecrets: Secrets
  /** The secrets by provider, Revento's too. A provider without a secret is not there. */
  readonly providerSecrets: Readonly<Record<string, Secrets>>
  /** The same secrets by variable. */
  readonly secrets: Readonly<Record<string, Secrets>>
  /** The token of the verify-token handshake, where that is on. */
  readonly verifyToken?: Secrets | undefined
  readonly authBase: string
  readonly apiBase: string
  readonly scopes: string
  /** The scopes that participants are asked for; undefined where nobody can sign in. */
  readonly userScopes: string | undefined
  /** Sent byte for byte in both OAuth requests, and the only source of the app's own origin. */
  readonly redirectUri: string
  readonly origin: string
  readonly https: boolean
  /** The event that /connect asks for when none is named. */
  readonly defaultEventId: string | undefined
  readonly store: Store
  /** Undefined in development, where the key in `keyFile` is used and made on the first start. */
  readonly encryptionKey: Buffer | undefined
  readonly encryptionKeyPrevious: Buffer | undefined
  readonly keyFile: string
  readonly sandboxFile: string
  readonly trustProxy: readonly string[]
  /** What the operator types to see the operator's page. Undefined: in production there is no such page. */
  readonly operatorToken: string | undefined
  readonly logLevel: string
  readonly stateTtlMs: number
  readonly handlerConcurrency: number
  readonly bodyLimit: number
  /** How often the stored participants are compared with Revento's; 0 for only when asked. */
  readonly syncEveryMs: number
  readonly retentionDays: number
  /** For how many days bodies are kept; at most `retentionDays`. */
  readonly payloadDays: number
  /** The process was started by `npm start`, whose shell does not pass signals on. */
  readonly underNpm: boolean
  /** The builder's own settings, by their names. */
  readonly own: Readonly<Record<string, unknown>>
  /** Warnings for the log, such as misspelt names and placeholders. */
  readonly warnings: readonly string[]
}

export class ConfigError extends Error {
  constructor(problems: Problems, warnings: readonly string[]) {
    const width = Math.max(...[...problems.keys()].map(name => name.length))
    const lines = [...problems].map(([name, problem]) => `  ${name.padEnd(width)}  ${problem}`)
    const hints = warnings.map(warning => `  note: ${warning}`)
    const count = problems.size === 1 ? '1 setting is' : `${problems.size} settings are`
    const isOurs = (name: string) => VARIABLE_NAMES.includes(name)
    const yours = [...problems.keys()].every(isOurs) ? '' : ', and for your own src/integration/settings.ts'
    super([`${count} missing or wrong:`, ...lines, ...hints, `See .env.example${yours}.`].join('\n'))
    this.name = 'ConfigError'
  }
}

/** Reads the environment, which wins over the `.env` file in the working directory. */
export function readEnvironment(overrides: Env): Env {
  const problems: Problems = new Map()
  const file = readEnvFile('.env', problems)
  if (problems.size > 0) throw new ConfigError(problems, [])
  return { ...file, ...process.env, ...overrides }
}

/** The environment without this app's settings, for a process that gets settings of its own. */
export const environmentOfOthers = (): Env =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !VARIABLE_NAMES.includes(name)))

/** What to type where npm kept an option that stood before "--" as a setting of its own; undefined where it kept none. */
export function keptByNpm(script: string, options: readonly string[]): string | undefined {
  if (process.env['npm_lifecycle_event'] !== script) return undefined
  const value = (name: string) => process.env[`npm_config_${name.replaceAll('-', '_')}`]
  const kept = options.filter(name => value(name) !== undefined)
  if (kept.length === 0) return undefined
  const flags = kept.map(name => (value(name) === 'true' ? `--${name}` : `--${name}=${value(name)}`))
  const words = [
    script === 'start' ? 'npm start --' : `npm run ${script} --`,
    ...process.argv.slice(2),
    ...flags,
  ]
  return `npm kept --${kept.join(' and --')} for itself: options come after "--". Type: ${words.join(' ')}`
}

/**
 * Pure: the same environment gives the same Config, or a ConfigError that lists every problem at once. `forms` are those
 * of the builder's own variables; a caller that does not need their values leaves them out.
 */
export function loadConfig(env: Env, forms: Forms = {}): Config {
  const problems: Problems = new Map()
  const warnings = nameWarnings(env, Object.keys(forms))
  const settings = readSettings(env, problems)
  const production = env['NODE_ENV'] === 'production'
  const sandbox = !production && CREDENTIALS.every(name => env[name] === undefined)
  if (sandbox) checkSandbox(env, problems)
  else {
    checkReal(env, settings, problems, production)
    checkSenders(settings, problems)
  }
  checkRedirectUri(settings.REVENTO_REDIRECT_URI, problems, production)
  checkBases(settings, problems)
  checkDatabaseUrl(settings.DATABASE_URL, problems)
  checkPorts(settings, sandbox, problems)
  checkPayloadDays(settings, problems)
  checkHost(settings.HOST, problems)
  checkPrevious(env, problems)
  checkTrustProxy(settings.TRUST_PROXY, problems)
  const own = readOwn(env, forms, production, problems)
  if (problems.size > 0) throw new ConfigError(problems, warnings)
  warnings.push(...(sandbox ? exposureWarnings(settings) : hostWarnings(env)))
  const underNpm = env['npm_lifecycle_event'] === 'start'
  return freeze(settings, { sandbox, production, underNpm, own }, warnings)
}

function readSettings(env: Env, problems: Problems): Settings {
  const settings: Record<string, unknown> = {}
  for (const [name, { says, read, otherwise }] of Object.entries(VARIABLES)) {
    const given = env[name]
    const slip = given === undefined ? undefined : slipIn(name, given)
    const value = given === undefined || slip ? otherwise : read(given)
    if (slip) problems.set(name, `${slip}: ${says}`)
    else if (given !== undefined && value === undefined) problems.set(name, `must be ${says}`)
    settings[name] = value ?? given
  }
  return settings as Settings
}

interface Circumstances {
  sandbox: boolean
  production: boolean
  underNpm: boolean
  own: Readonly<Record<string, unknown>>
}

function freeze(
  s: Settings,
  { sandbox, production, underNpm, own }: Circumstances,
  warnings: string[],
): Config {
  const redirectUri = s.REVENTO_REDIRECT_URI ?? `http://localhost:${s.PORT}/callback`
  const store = storeOf(s.DATABASE_URL)
  const sandboxBase = `http://127.0.0.1:${s.SANDBOX_PORT}`
  const base = (given: string | undefined, real: string, play: string) =>
    (sandbox ? play : (given ?? real)).replace(/\/+$/, '')
  const bytes = (text: string | undefined) => (text ? Buffer.from(text, 'base64') : undefined)
  const providerSecrets = Object.freeze(senderSecrets(s, sandbox))
  return Object.freeze({
    mode: sandbox ? 'sandbox' : 'real',
    production,
    host: s.HOST,
    port: s.PORT,
    sandboxPort: s.SANDBOX_PORT,
    metricsPort: s.METRICS_PORT,
    clientId: s.REVENTO_CLIENT_ID ?? SANDBOX_CREDENTIALS.clientId,
    clientSecret: s.REVENTO_CLIENT_SECRET ?? SANDBOX_CREDENTIALS.clientSecret,
    webhookSecrets: providerSecrets[revento.name] ?? { current: SANDBOX_CREDENTIALS.webhookSecret },
    providerSecrets,
    secrets: Object.fromEntries(
      providers.flatMap(({ name, secret }) => {
        const given = providerSecrets[name]
        return given ? [[secret.variable, given]] : []
      }),
    ),
    verifyToken: verifyTokenOf(s, sandbox), // part: senders
    authBase: base(s.REVENTO_AUTH_BASE, 'https://auth.revento.example', sandboxBase),
    apiBase: base(s.REVENTO_API_BASE, 'https://api.revento.example/api/v1', `${sandboxBase}/api/v1`),
    scopes: s.REVENTO_SCOPES,
    userScopes: s.REVENTO_USER_SCOPES,
    redirectUri,
    origin: new URL(redirectUri).origin,
    https: redirectUri.startsWith('https:'),
    defaultEventId: s.REVENTO_EVENT_ID ?? s.SANDBOX_EVENT_ID ?? (sandbox ? 'evt_test_published' : undefined),
    store,
    encryptionKey: bytes(s.ENCRYPTION_KEY),
    encryptionKeyPrevious: bytes(s.ENCRYPTION_KEY_PREVIOUS),
    ...filesBeside(store),
    trustProxy: Object.freeze(s.TRUST_PROXY?.split(',') ?? []),
    operatorToken: s.OPERATOR_TOKEN,
    appName: s.APP_NAME,
    logLevel: s.LOG_LEVEL,
    stateTtlMs: s.STATE_TTL_S * 1000,
    handlerConcurrency: s.HANDLER_CONCURRENCY,
    bodyLimit: s.WEBHOOK_BODY_LIMIT,
    syncEveryMs: s.SYNC_EVERY_HOURS * 3_600_000,
    retentionDays: s.RETENTION_DAYS,
    payloadDays: s.PAYLOAD_DAYS ?? s.RETENTION_DAYS,
    underNpm,
    own,
    warnings: Object.freeze(warnings),
  })
}

// part: senders {
function verifyTokenOf(s: Settings, sandbox: boolean): Secrets | undefined {
  const current = s.WEBHOOK_VERIFY_TOKEN ?? (sandbox ? SANDBOX_VERIFY_TOKEN : undefined)
  return current ? Object.freeze({ current, previous: s.WEBHOOK_VERIFY_TOKEN_PREVIOUS }) : undefined
}
// part: senders }

const storeOf = (url: string): Store =>
  url.startsWith('sqlite:')
    ? sqliteStore(url.slice('sqlite:'.length))
    : Object.freeze({ kind: 'postgres', url })

/** The other files stand beside SQLite's file. With a database on a server they are in SQLite's default folder. */
function filesBeside(store: Store) {
  const folder = store.kind === 'sqlite' ? dirname(store.path) : resolve('data')
  const sandboxFile = store.kind === 'sqlite' ? `${store.path}.sandbox.json` : join(folder, 'sandbox.json')
  return { keyFile: join(folder, 'encryption.key'), sandboxFile }
}
