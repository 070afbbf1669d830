import { isIP } from 'node:net'
import { canonicalAddress } from '../http/caller-address.ts'
import { nearestName } from '../process/nearest-name.ts'
import { providers } from '../webhooks/providers/index.ts'
import { revento } from '../webhooks/providers/revento.ts'
import type { Secrets } from '../webhooks/verify/provider.ts'
import { describe, type Settings, VARIABLE_NAMES } from './variables.ts'

/** Rules beyond the form of one variable. Each adds what is wrong and what to type, but never a value. */
export type Env = Readonly<Record<string, string | undefined>>
export type Problems = Map<string, string>

export const CREDENTIALS = ['REVENTO_CLIENT_ID', 'REVENTO_CLIENT_SECRET', 'REVENTO_WEBHOOK_SECRET'] as const

/** Everybody who reads this file knows these: they serve the sandbox on loopback, and are refused in production. */
export const SANDBOX_CREDENTIALS = {
  clientId: 'sandbox-client',
  clientSecret: 'sandbox-client-secret-for-development-only',
  webhookSecret: revento.secret.sandbox,
} as const
export const SANDBOX_VERIFY_TOKEN = 'sandbox-verify-token'

/** The form of a number: `Number` would also take 0x10 and 3e3. */
const DECIMAL = /^(0|[1-9]\d{0,9})$/

const PLACEHOLDER =
  /^<.*>$|^\.+$|^x{3,}$|your[-_ ]|change[-_ ]?me|replace[-_ ]?me|placeholder|^todo$|^secret$|^example$/i

export function slipIn(name: string, value: string): string | undefined {
  if (value.trim() === '') return 'is blank; give a value or remove the line'
  if (value !== value.trim()) return 'has spaces around it'
  if (/^(["']).*\1$/.test(value)) return 'is in quotes; remove them'
  if (/^\$(\w+|\{\w+\})$/.test(value)) return 'is the name of another variable; give the value itself'
  if (/_(ID|SECRET|TOKEN)(_PREVIOUS)?$/.test(name) && PLACEHOLDER.test(value)) return 'is a placeholder'
  return undefined
}

export function checkSandbox(env: Env, problems: Problems): void {
  for (const name of ['REVENTO_AUTH_BASE', 'REVENTO_API_BASE'])
    if (env[name] !== undefined && !problems.has(name))
      problems.set(name, `is set without credentials: set ${CREDENTIALS.join(', ')} too, or remove it`)
}

export function checkReal(env: Env, settings: Settings, problems: Problems, production: boolean): void {
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
  for (const name of [...CREDENTIALS, 'REVENTO_WEBHOOK_SECRET_PREVIOUS'] as const)
    if (known.includes(settings[name])) problems.set(name, `is the sandbox's: ${describe(name)}`)
}

/** Refuses the published secrets of the sandbox beside the real platform: anybody could sign with them. */
export function checkSenders(settings: Settings, problems: Problems): void {
  const known = new Map<string, string>([['WEBHOOK_VERIFY_TOKEN', SANDBOX_VERIFY_TOKEN]])
  for (const { name, secret } of providers)
    if (name !== revento.name) known.set(secret.variable, secret.sandbox)
  for (const [variable, value] of known)
    for (const name of [variable, `${variable}_PREVIOUS`])
      if ((settings as Record<string, unknown>)[name] === value)
        problems.set(name, `is known to everybody: give ${describe(variable)}`)
}

/** The secrets by provider, without providers that have none. In the sandbox each has its published secret. */
export function senderSecrets(settings: Settings, sandbox: boolean): Record<string, Secrets> {
  const given = providers.flatMap(({ name, secret: { variable, sandbox: known } }) => {
    const current = settings[variable] ?? (sandbox ? known : undefined)
    const previous = settings[`${variable}_PREVIOUS`]
    return current === undefined ? [] : [[name, Object.freeze({ current, previous })] as const]
  })
  return Object.fromEntries(given)
}

export function checkRedirectUri(uri: string | undefined, problems: Problems, production: boolean): void {
  const name = 'REVENTO_REDIRECT_URI'
  if (problems.has(name)) return
  if (uri === undefined) {
    if (production) problems.set(name, `is missing: ${describe(name)}`)
    return
  }
  if (!isPlainUrl(uri)) problems.set(name, `must be a plain URL: ${describe(name)}`)
  else if (!/^https?:\/\/[^/]+\/callback$/.test(uri))
    problems.set(
      name,
      'must end with /callback right after the host: the app serves no path before it, give it a host name of its own',
    )
  else if (production && !uri.startsWith('https:'))
    problems.set(name, `must be https in production: ${describe(name)}`)
}

export function checkBases(settings: Settings, problems: Problems): void {
  for (const name of ['REVENTO_AUTH_BASE', 'REVENTO_API_BASE'] as const)
    if (!problems.has(name) && settings[name] !== undefined && !isPlainUrl(settings[name]))
      problems.set(name, `must be a plain URL: ${describe(name)}`)
}

/** Refuses URLs that pg would refuse only when it connects, and files that would be made in an unexpected place. */
export function checkDatabaseUrl(url: string, problems: Problems): void {
  const name = 'DATABASE_URL'
  if (problems.has(name)) return
  if (url.startsWith('sqlite:')) {
    if (/^sqlite:(\/\/[^/]|:|.*[\\/]$|file:)/.test(url))
      problems.set(name, 'must name a file: sqlite:data/revento.db, or sqlite:/data/revento.db from the root')
    else if (/^sqlite:~|\$|%\w+%/.test(url))
      problems.set(
        name,
        'is taken as it is, without ~, $NAME or %NAME%: write the path out, sqlite:/home/me/revento.db',
      )
    return
  }
  if (!URL.canParse(url) || /%(?![\da-f]{2})/i.test(url))
    problems.set(name, `must be a URL; write special characters as %XX: ${describe(name)}`)
  else if (new URL(url).pathname.length < 2) problems.set(name, `must name a database: ${describe(name)}`)
}

/** Whether a URL has only scheme, host, port and path: a password in it would reach the log. */
function isPlainUrl(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url !== undefined && !url.username && !url.password && !/[?#\\]|\/\/@/.test(text)
}

/** A payload is removed with its delivery at the latest. */
export function checkPayloadDays({ PAYLOAD_DAYS = 0, RETENTION_DAYS }: Settings, problems: Problems): void {
  if (!problems.has('PAYLOAD_DAYS') && PAYLOAD_DAYS > RETENTION_DAYS)
    problems.set('PAYLOAD_DAYS', 'must not be above RETENTION_DAYS: raise that, or lower this')
}

export function checkPorts(settings: Settings, sandbox: boolean, problems: Problems): void {
  if (sandbox && settings.PORT === settings.SANDBOX_PORT)
    problems.set('SANDBOX_PORT', 'must be another port than PORT')
  const taken = [settings.PORT, ...(sandbox ? [settings.SANDBOX_PORT] : [])]
  if (settings.METRICS_PORT !== undefined && taken.includes(settings.METRICS_PORT))
    problems.set('METRICS_PORT', `must be another port than PORT${sandbox ? ' and SANDBOX_PORT' : ''}`)
}

/** HOST is an address or a name, without a port. */
export function checkHost(host: string, problems: Problems): void {
  if (!problems.has('HOST') && isIP(host) === 0 && !/^[0-9A-Za-z.-]+$/.test(host))
    problems.set('HOST', `must be ${describe('HOST')}; the port is PORT`)
}

/** Refuses a previous value that equals the current one: the old value was lost, or the new one was never set. */
export function checkPrevious(env: Env, problems: Problems): void {
  for (const name of VARIABLE_NAMES.filter(name => name.endsWith('_PREVIOUS'))) {
    const current = name.replace(/_PREVIOUS$/, '')
    if (problems.has(name) || env[name] === undefined || env[name] !== env[current]) continue
    problems.set(name, `is the same as ${current}: give the one before it, or remove the line`)
  }
}

export function checkTrustProxy(list: string | undefined, problems: Problems): void {
  const name = 'TRUST_PROXY'
  if (list === undefined || problems.has(name)) return
  const isRange = (range: string) => {
    const [address = '', bits, ...rest] = range.split('/')
    const most = { 0: -1, 4: 32, 6: 128 }[isIP(address)] ?? -1
    const isPlain = isIP(canonicalAddress(address) ?? '') === isIP(address)
    const inRange = bits === undefined || (DECIMAL.test(bits) && +bits <= most)
    return most > 0 && isPlain && rest.length === 0 && inRange
  }
  if (!list.split(',').every(isRange)) problems.set(name, `must be ${describe(name)}`)
}

/** Warns of variables that nothing reads. `own` are the names of the builder's variables. */
export function nameWarnings(env: Env, own: readonly string[]): string[] {
  const known = [...VARIABLE_NAMES, ...own]
  const unknown = Object.keys(env).filter(name => name.includes('_') && !known.includes(name))
  return unknown.flatMap(name => {
    const nearest = nearestName(name, known)
    if (nearest && env[nearest] === undefined) return [`${name} is not a setting; did you mean ${nearest}?`]
    return name.startsWith('REVENTO_') ? [`${name} is not a setting`] : []
  })
}

/** Warns of the guide's host names, which end in .example and never resolve. */
export const hostWarnings = (env: Env): string[] =>
  ['REVENTO_AUTH_BASE', 'REVENTO_API_BASE']
    .filter(name => env[name] === undefined || /\.example(:\d+)?(\/|$)/.test(env[name]))
    .map(name => `${name} is a placeholder that answers nowhere: set the host that Revento gave you`)

/** Warns where others can reach an app with the sandbox's secrets, which stand in this file. */
export const exposureWarnings = ({ HOST }: Settings): string[] =>
  /^(localhost|127\.\d+\.\d+\.\d+|::1)$/.test(HOST)
    ? []
    : ["HOST lets others reach an app that takes webhooks with the sandbox's published secret"]
