import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import type { Config } from '../config.ts'
import { systemRuntime as runtime } from '../runtime.ts'
import type { Provider } from '../webhooks/provider.ts'
import { providers } from '../webhooks/providers/index.ts'

export const HELP = `Usage: npm run trigger -- PROVIDER [TYPE] [options]

Signs a webhook as that provider would, sends it, and prints the answer. Without --url it goes to this app, which has to
run; the secret is the one in .env (the sandbox's where none is set).

  --url URL        to somebody else's server
  --secret SECRET  signed with another secret
  --data BODY      this body, byte for byte, instead of an example; @FILE reads it from a file
  --duplicate N    the same delivery N times in all
  --stale          signed ten minutes ago
  --tamper         a space is added to the body after it was signed
  --json           one JSON object for each answer

${providers.map(({ name, types }) => `  ${name.padEnd(10)} ${wrapped(types)}`).join('\n')}
  handshake  shows WEBHOOK_VERIFY_TOKEN first, then posts; nothing is signed

Exit code: 0 when every answer was 2xx, else 1.
`

/** What a person has to type instead. */
export class Wrong extends Error {}

export interface Asked {
  readonly provider: Provider | 'handshake'
  readonly type: string
  readonly url: string
  readonly secret: string
  readonly body: Buffer
  readonly times: number
  readonly stale: boolean
  readonly tamper: boolean
  readonly json: boolean
}

const OPTIONS = {
  help: { type: 'boolean', short: 'h' },
  url: { type: 'string' },
  secret: { type: 'string' },
  data: { type: 'string' },
  duplicate: { type: 'string' },
  stale: { type: 'boolean' },
  tamper: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

/** What was typed; undefined when it was a question for help. */
export function readArguments(config: () => Config): Asked | undefined {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: OPTIONS })
  if (values.help) return undefined
  if (positionals.length === 0) throw new Wrong('Give a provider.')
  return ask(positionals, values, config())
}

type Flags = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']

function ask([name = '', type, ...rest]: string[], flags: Flags, config: Config): Asked {
  const provider = name === 'handshake' ? name : providers.find(known => known.name === name)
  const names = [...providers.map(known => known.name), 'handshake'].join(', ')
  if (!provider) throw new Wrong(`There is no provider "${name}": give one of ${names}.`)
  if (rest.length > 0)
    throw new Wrong(`"${rest[0]}" is too much: give a provider and a type; a body goes after --data.`)
  const isStandIn = provider === 'handshake'
  const variable = isStandIn ? 'WEBHOOK_VERIFY_TOKEN' : provider.secret.variable
  const secret = flags.secret ?? (isStandIn ? config.verifyToken : config.providerSecrets[name])?.current
  if (!secret) throw new Wrong(`There is no secret: set ${variable} in .env, or give --secret.`)
  if (!isStandIn && !new RegExp(provider.secret.form).test(secret))
    throw new Wrong(`--secret must be ${provider.secret.says}.`)
  if (flags.stale && (isStandIn || !provider.timestamp))
    throw new Wrong(`${name} signs no time, so nothing of it can be stale: leave --stale out.`)
  if (flags.tamper && isStandIn) throw new Wrong('The handshake signs nothing: leave --tamper out.')
  const named = type ?? (isStandIn ? 'message' : provider.types[0])
  return {
    provider,
    type: named,
    url: readUrl(flags.url ?? `${addressOf(config)}/webhooks/${name}`),
    secret,
    body: flags.data === undefined ? example(provider, named) : readData(flags.data),
    times: readTimes(flags.duplicate ?? '1'),
    stale: flags.stale ?? false,
    tamper: flags.tamper ?? false,
    json: flags.json ?? false,
  }
}

/** Where the app listens, not where a proxy is. */
function addressOf({ host, port }: Config): string {
  const own = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host
  return `http://${own.includes(':') ? `[${own}]` : own}:${port}`
}

function readUrl(text: string): string {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text))
    throw new Wrong(`--url must be a URL, e.g. http://127.0.0.1:8080/notify`)
  return text
}

function readData(text: string): Buffer {
  if (!text.startsWith('@')) return Buffer.from(text)
  try {
    return readFileSync(text.slice(1))
  } catch (error) {
    throw new Wrong(`--data: cannot read ${text.slice(1)} (${(error as NodeJS.ErrnoException).code}).`)
  }
}

function readTimes(text: string): number {
  if (!/^[1-9]\d{0,2}$/.test(text)) throw new Wrong('--duplicate must be a number from 1 to 999.')
  return Number(text)
}

const example = (provider: Provider | 'handshake', type: string) =>
  Buffer.from(
    provider === 'handshake'
      ? JSON.stringify({ data: 'This is some test data' })
      : provider.example({ type, id: runtime.uuid(), at: runtime.now() }),
  )

function wrapped(types: readonly string[]): string {
  const lines = ['']
  for (const type of types) {
    const line = lines.at(-1) ?? ''
    if (line.length + type.length > 90) lines.push(type)
    else lines[lines.length - 1] = line ? `${line}, ${type}` : type
  }
  return lines.join(`,\n${' '.repeat(13)}`)
}
