import { SANDBOX_CREDENTIALS } from '../../config/checks.ts'
import { readEnvironment } from '../../config/settings.ts'
import { createLogger } from '../../process/logger.ts'
import { systemRuntime as runtime } from '../../process/runtime.ts'
import { createOutgoing } from '../../revento/http.ts'
import { startSandbox } from '../../sandbox/index.ts'
import { revento } from '../../webhooks/providers/revento.ts'
import { autopsy } from '../../webhooks/verify/autopsy.ts'
import { print, runCommand, Usage, type Values } from '../command.ts'

const HELP = `Usage: npm run sandbox -- --redirect-uri URL --webhook-url URL [--port PORT]

Starts the sandbox without the app, for a program in any language: it plays Revento's consent page, token endpoint, read
API and webhooks. It prints the settings for the program. It keeps nothing on disk; POST /console/api/reset makes it new
between tests, and GET /console/api lists what else it can do. Ctrl-C ends it.

  --redirect-uri URL   the one registered redirect URI, compared byte for byte
  --webhook-url URL    the address to which it sends its webhooks
  --port PORT          the port of 127.0.0.1 on which it listens; 3100 unless given
`

const options = {
  'redirect-uri': { type: 'string' },
  'webhook-url': { type: 'string' },
  port: { type: 'string' },
} as const

async function main(values: Values<typeof options>): Promise<number> {
  const redirectUri = urlOf('--redirect-uri', values['redirect-uri'])
  const webhookUrl = urlOf('--webhook-url', values['webhook-url'])
  const secrets = { [revento.name]: { current: SANDBOX_CREDENTIALS.webhookSecret } }
  const outgoing = createOutgoing()
  const sandbox = await startSandbox({
    ...{
      host: '127.0.0.1',
      port: portOf(values.port),
      production: readEnvironment({})['NODE_ENV'] === 'production',
    },
    ...{ ...SANDBOX_CREDENTIALS, redirectUri, runtime, dispatcher: outgoing.api },
    senders: [{ provider: revento, secret: SANDBOX_CREDENTIALS.webhookSecret, url: webhookUrl }],
    explain: ({ provider, headers, body, at }) => autopsy(provider, secrets, headers, Buffer.from(body), at),
    log: await createLogger('warn', { terminal: false, production: false }),
  })
  print(`The sandbox runs at ${sandbox.url}. For your program:

export REVENTO_CLIENT_ID=${SANDBOX_CREDENTIALS.clientId}
export REVENTO_CLIENT_SECRET=${SANDBOX_CREDENTIALS.clientSecret}
export REVENTO_WEBHOOK_SECRET=${SANDBOX_CREDENTIALS.webhookSecret}

Its auth base is ${sandbox.url}, its API base ${sandbox.url}/api/v1, and its console ${sandbox.url}.`)
  await new Promise<void>(resolve => {
    process.once('SIGINT', resolve).once('SIGTERM', resolve)
  })
  await sandbox.close()
  await outgoing.close()
  return 0
}

function urlOf(flag: string, text: string | undefined): string {
  const url = text !== undefined && URL.canParse(text) ? new URL(text) : undefined
  if (!text || !/^https?:$/.test(url?.protocol ?? ''))
    throw new Usage(`${flag} takes a URL, as http://localhost:8000/callback`)
  return text
}

function portOf(text = '3100'): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : -1
  if (port < 0 || port > 65_535) throw new Usage('--port takes a number from 0 (any free port) to 65535')
  return port
}

await runCommand({ name: 'sandbox', help: HELP, options, main })
