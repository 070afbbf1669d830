import { type Form, optional, type SettingsOf, text, wholeNumber } from '../builder/define.ts'
import { ID } from '../revento/platform.ts'
import { providers } from '../webhooks/providers/index.ts'
import { SECRET_FORM } from '../webhooks/verify/provider.ts'

/** Every variable with its form, default and what to type. `.env.example` and the README are checked against this table. */
const perhaps = (pattern: string, says: string) => optional(text(says, { pattern: new RegExp(pattern) }))
const withDefault = (otherwise: string, pattern: string, says: string) =>
  text(says, { pattern: new RegExp(pattern), otherwise })
const integer = (otherwise: number, least: number, most: number, unit: string) =>
  wholeNumber(unit, { otherwise, least, most })

const KEY = '^[A-Za-z0-9+/]{43}=$'
const URL_FORM = '^https?://[!-~]+$'
const secret = (whose: string) => perhaps(SECRET_FORM, `${whose}: 8 to 512 visible characters, no spaces`)
const previous = (form: string) =>
  perhaps(form, 'the secret before the last rotation; otherwise remove the line')

const Own = {
  NODE_ENV: perhaps('^(production|development|test)$', 'production, development or test'),

  REVENTO_CLIENT_ID: perhaps('^[!-~]{1,512}$', 'the client id from Revento, no spaces'),
  REVENTO_CLIENT_SECRET: secret('the client secret from Revento'),
  REVENTO_REDIRECT_URI: perhaps(URL_FORM, 'a URL as registered, e.g. https://app.example.com/callback'),
  REVENTO_SCOPES: withDefault(
    'event.read participants.read',
    '^[a-z_.]+( [a-z_.]+)*$',
    'scopes with one space between, e.g. event.read participants.read',
  ),
  REVENTO_USER_SCOPES: perhaps(
    '^(profile\\.read( event\\.attendance)?|event\\.attendance( profile\\.read)?)$',
    'what participants who sign in are asked for, e.g. profile.read event.attendance',
  ),
  REVENTO_AUTH_BASE: perhaps(URL_FORM, 'a URL, e.g. https://auth.revento.example'),
  REVENTO_API_BASE: perhaps(URL_FORM, 'a URL, e.g. https://api.revento.example/api/v1'),
  REVENTO_EVENT_ID: perhaps(ID.source, 'an event id, e.g. evt_test_published'),
  SANDBOX_EVENT_ID: perhaps(ID.source, 'an event id; REVENTO_EVENT_ID is its new name'),
  SANDBOX_PORT: integer(3100, 1, 65_535, 'a port'),

  APP_NAME: withDefault(
    'Revento starter',
    '^[^\\u0000-\\u001f\\u007f]{1,60}$',
    'the name on the pages, 1 to 60 characters',
  ),
  HOST: withDefault('127.0.0.1', '^[0-9A-Za-z.:-]+$', 'an address to listen on, e.g. 127.0.0.1 or 0.0.0.0'),
  PORT: integer(3000, 1, 65_535, 'a port'),
  TRUST_PROXY: perhaps('^[0-9A-Fa-f.:/]+(,[0-9A-Fa-f.:/]+)*$', 'proxy addresses, e.g. 10.0.0.1,10.1.0.0/16'),
  DATABASE_URL: withDefault(
    'sqlite:data/revento.db',
    '^(sqlite:[^?#]+|postgres(ql)?://[!-~]+)$',
    'sqlite:FILE or postgres://USER:PASSWORD@HOST/DATABASE, e.g. sqlite:data/revento.db',
  ),
  ENCRYPTION_KEY: perhaps(KEY, '32 random bytes in base64: openssl rand -base64 32'),
  ENCRYPTION_KEY_PREVIOUS: perhaps(KEY, 'the key before the last rotation; otherwise remove the line'),
  LOG_LEVEL: withDefault(
    'info',
    '^(trace|debug|info|warn|error|fatal)$',
    'trace, debug, info, warn, error or fatal',
  ),
  STATE_TTL_S: integer(600, 60, 3600, 'seconds'),
  HANDLER_CONCURRENCY: integer(10, 1, 100, 'handlers at once'),
  WEBHOOK_BODY_LIMIT: integer(262_144, 1024, 16_777_216, 'bytes'),
  RETENTION_DAYS: integer(30, 30, 3650, 'days'),
  PAYLOAD_DAYS: optional({
    ...wholeNumber('days', { least: 1, most: 3650 }),
    says: 'days, 1 to RETENTION_DAYS',
  }),
  SYNC_EVERY_HOURS: integer(24, 0, 720, 'hours'),
  OPERATOR_TOKEN: perhaps('^[!-~]{32,512}$', '32 to 512 visible characters: openssl rand -hex 32'),
  METRICS_PORT: optional({ ...wholeNumber('a port', { least: 1, most: 65_535 }), says: 'a port' }),
  // part: senders {

  WEBHOOK_VERIFY_TOKEN: secret('the verify token'),
  WEBHOOK_VERIFY_TOKEN_PREVIOUS: previous(SECRET_FORM),
  // part: senders }
}

/** Two variables for each provider, as its file says. */
const OfProviders = Object.fromEntries(
  providers.flatMap(({ secret: { variable, form, says } }) => [
    [variable, perhaps(form, says)],
    [`${variable}_PREVIOUS`, previous(form)],
  ]),
)

export const VARIABLES: Readonly<Record<string, Form<unknown>>> = { ...Own, ...OfProviders }

type ProviderSettings = Readonly<Record<`${string}_WEBHOOK_SECRET${'' | '_PREVIOUS'}`, string | undefined>>
export type Settings = SettingsOf<typeof Own> & ProviderSettings

export const VARIABLE_NAMES: readonly string[] = Object.keys(VARIABLES)

/** What to type as this variable. */
export const describe = (name: string): string | undefined => VARIABLES[name]?.says
