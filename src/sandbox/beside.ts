import type { Config } from '../config/settings.ts'
import { providers } from '../webhooks/providers/index.ts'
import { autopsy } from '../webhooks/verify/autopsy.ts'
import { type Sandbox, startSandbox } from './index.ts'
import type { SandboxOptions } from './options.ts'

/** The sandbox for the app of this process: it has the app's credentials, and sends as every sender that is on. */
export const startBeside = (
  config: Config,
  edge: Pick<SandboxOptions, 'runtime' | 'dispatcher' | 'log'>,
): Promise<Sandbox> =>
  startSandbox({
    ...edge,
    host: '127.0.0.1',
    port: config.sandboxPort,
    production: config.production,
    clientId: config.clientId,
    clientSecret: config.clientSecret,
    redirectUri: config.redirectUri,
    senders: providers.flatMap(provider => {
      const secret = config.providerSecrets[provider.name]?.current
      return secret ? [{ provider, secret, url: `${config.origin}/webhooks/${provider.name}` }] : []
    }),
    explain: ({ provider, headers, body, at }) =>
      autopsy(provider, config.providerSecrets, headers, Buffer.from(body), at),
    stateFile: config.sandboxFile,
  })
