import { readFileSync } from 'node:fs'
import type { Config } from '../../config/settings.ts'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { providers } from '../../webhooks/providers/index.ts'
import { numberText, parseLossless } from '../../webhooks/verify/lossless-json.ts'
import { membersOf, type Provider } from '../../webhooks/verify/provider.ts'
import { Usage, type Values, wholeNumber } from '../command.ts'
import { appAddress } from '../network.ts'

export const HELP = `Usage: npm run trigger -- PROVIDER [TYPE] [options]

Signs a webhook as that provider would, sends it, and prints the answer. Without --url it is sent to this app, which has
to run. The secret is the one in .env, or the sandbox's where none is set.

  --url URL        sends it to another server
  --secret SECRET  signs with another secret
  --data JSON      puts these members into the event's data; @FILE reads them from a file
  --body BODY      sends this body, byte for byte, instead of an example; @FILE reads it from a file
  --duplicate N    sends the same delivery N times in all
  --stale          signs it ten minutes ago
  --tamper         adds a space to the body after signing
  --json           prints one JSON object for each answer

${providers.map(({ name, types }) => `  ${name.padEnd(10)} ${wrapped(types)}`).join('\n')}
  handshake  shows WEBHOOK_VERIFY_TOKEN first, then posts; nothing is signed

Exit code: 0 when every answer was 2xx, else 1.
`

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

export const OPTIONS = {
  url: { type: 'string' },
  secret: { type: 'string' },
  data: { type: 'string' },
  body: { type: 'string' },
  duplicate: { type: 'string' },
  stale: { type: 'boolean' },
  tamper: { type: 'boolean' },
  json: { type: 'boolean' },
} as const

type Flags = Values<typeof OPTIONS>

/** The webhook that was asked for: the words and options, and the settings where an option is absent. */
export function readAsked([name, type, ...rest]: string[], flags: Flags, config: Config): Asked {
  if (name === undefined) throw new Usage('Give a provider.')
  const provider = name === 'handshake' ? name : providers.find(known => known.name === name)
  const names = [...providers.map(known => known.name), 'handshake'].join(', ')
  if (!provider) throw new Usage(`There is no provider "${name}": give one of ${names}.`)
  if (rest.length > 0)
    throw new Usage(
      `"${rest[0]}" is one word too many: give a provider and a type; a body goes after --body.`,
    )
  const isStandIn = provider === 'handshake'
  const variable = isStandIn ? 'WEBHOOK_VERIFY_TOKEN' : provider.secret.variable
  const secret = flags.secret ?? (isStandIn ? config.verifyToken : config.providerSecrets[name])?.current
  if (!secret) throw new Usage(`There is no secret: set ${variable} in .env, or give --secret.`)
  if (!isStandIn && !new RegExp(provider.secret.form).test(secret))
    throw new Usage(`--secret must be ${provider.secret.says}.`)
  if (flags.stale && (isStandIn || !provider.timestamp))
    throw new Usage(`${name} signs no time, so its webhooks cannot be stale: leave --stale out.`)
  if (flags.tamper && isStandIn) throw new Usage('The handshake signs nothing: leave --tamper out.')
  const named = type ?? (isStandIn ? 'message' : provider.types[0])
  return {
    provider,
    type: named,
    url: readUrl(flags.url ?? `${appAddress(config)}/webhooks/${name}`),
    secret,
    body: bodyOf(provider, named, flags),
    times: wholeNumber('--duplicate', flags.duplicate ?? '1', 999),
    stale: flags.stale ?? false,
    tamper: flags.tamper ?? false,
    json: flags.json ?? false,
  }
}

function readUrl(text: string): string {
  if (!/^https?:\/\//.test(text) || !URL.canParse(text))
    throw new Usage(`--url must be a URL, e.g. http://127.0.0.1:8080/notify`)
  return text
}

function bodyOf(provider: Asked['provider'], type: string, { data, body }: Flags): Buffer {
  if (data !== undefined && body !== undefined) throw new Usage('Give --data or --body, not both.')
  if (body !== undefined) return read('--body', body)
  const sample = example(provider, type)
  return data === undefined ? sample : filled(provider, sample, String(read('--data', data)))
}

/** The example with these members in its event's data. Their numbers stay as they were typed. */
function filled(provider: Asked['provider'], sample: Buffer, text: string): Buffer {
  const member = provider === 'handshake' ? undefined : provider.dataMember
  if (member === undefined)
    throw new Usage('This sender has no data of an event: give the whole body with --body.')
  const [whole, given] = [objectOf(String(sample)), objectOf(text)]
  if (!given)
    throw new Usage(
      '--data must be a JSON object, e.g. \'{"participant_id":"ptp_7"}\'; a whole body goes after --body.',
    )
  return Buffer.from(JSON.stringify({ ...whole, [member]: { ...membersOf(whole?.[member]), ...given } }))
}

function objectOf(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value = parseLossless(text)
    const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
    return isObject && numberText(value) === undefined ? membersOf(value) : undefined
  } catch {
    return undefined
  }
}

function read(option: string, text: string): Buffer {
  if (!text.startsWith('@')) return Buffer.from(text)
  try {
    return readFileSync(text.slice(1))
  } catch (error) {
    throw new Usage(`${option}: cannot read ${text.slice(1)} (${(error as NodeJS.ErrnoException).code}).`)
  }
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
