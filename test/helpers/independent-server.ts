import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Context, Provider } from 'oidc-provider'
import { CLIENT_SECRET } from './app.ts'

export interface IndependentServer {
  authBase: string
  apiBase: string
  /** The forms of the token requests, in the order in which they came. */
  tokenForms: URLSearchParams[]
  /** The statuses of the API's answers, oldest first. */
  apiStatuses: number[]
  /** From now on the API answers token_expired to every access token issued so far. */
  expireAccessTokens(): void
  /** Registers the client. Until then the server refuses every request. */
  open(redirectUri: string): void
  close(): Promise<void>
}

/**
 * A certified authorization server that others wrote (oidc-provider). It is given the platform's paths, two more members
 * in its token answers, and a small API that accepts the tokens it has issued.
 */
export async function startIndependentServer(): Promise<IndependentServer> {
  const oidc = await import('oidc-provider')
  const tokenForms: URLSearchParams[] = []
  const apiStatuses: number[] = []
  const expired = new Set<string>()
  const seenTokens = new Set<string>()
  const events = new Map<string, string>()
  let provider: Provider | undefined

  const server = createServer((request, response) => {
    if (!provider) response.writeHead(503).end()
    else if (request.url?.startsWith('/api/v1/')) void answerApi(provider, request, response)
    else {
      if (request.url === '/oauth/token') keepForm(request, tokenForms)
      provider.callback()(request, response)
    }
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const authBase = `http://127.0.0.1:${port}`

  async function answerApi(from: Provider, request: IncomingMessage, response: ServerResponse) {
    const bearer = request.headers.authorization?.replace(/^Bearer /, '') ?? ''
    const token = await from.AccessToken.find(bearer)
    const [, eventId = ''] = /^\/api\/v1\/events\/([^/]+)\/participants/.exec(request.url ?? '') ?? []
    const refusal = () => {
      if (expired.has(bearer)) return [401, 'token_expired'] as const
      if (token?.clientId !== 'client-for-tests') return [401, 'invalid_token'] as const
      seenTokens.add(bearer)
      if (events.get(token.grantId) !== eventId) return [403, 'event_not_authorized'] as const
      if (!token.scope.split(' ').includes('participants.read')) return [403, 'scope_missing'] as const
      return undefined
    }
    const refused = refusal()
    const status = refused?.[0] ?? 200
    apiStatuses.push(status)
    const page = { data: [{ id: 'ptp_independent' }], next_cursor: null, has_more: false }
    const body = refused ? { error: refused[1] } : page
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }

  return {
    authBase,
    apiBase: `${authBase}/api/v1`,
    tokenForms,
    apiStatuses,
    expireAccessTokens: () => {
      for (const token of seenTokens) expired.add(token)
    },
    open: redirectUri => {
      provider = new oidc.Provider(authBase, configuration(redirectUri))
      bindEvents(provider, events)
    },
    close: async () => {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}

const configuration = (redirectUri: string) => ({
  clients: [
    {
      client_id: 'client-for-tests',
      client_secret: CLIENT_SECRET,
      redirect_uris: [redirectUri],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_post',
    },
  ],
  scopes: ['event.read', 'participants.read'],
  extraParams: ['event_id'],
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async () => true,
  routes: { authorization: '/oauth/authorize', token: '/oauth/token' },
  cookies: { keys: ['only-for-tests'] },
  findAccount: async (_context: unknown, id: string) => ({
    accountId: id,
    claims: async () => ({ sub: id }),
  }),
})

/** Notes the event of each authorize request under its grant, and adds its id to every token answer of that grant. */
function bindEvents(provider: Provider, events: Map<string, string>): void {
  const grantOf = ({ oidc }: Context) => oidc?.entities.Grant?.jti ?? ''
  provider.on('authorization.success', context => {
    events.set(grantOf(context), String(context.oidc?.params?.['event_id']))
  })
  provider.use(async (context, next) => {
    await next()
    if (context.oidc?.route !== 'token' || context.status !== 200) return
    const event_id = events.get(grantOf(context))
    context.body = { ...(context.body as object), event_id, organization_id: 'org_independent' }
  })
}

/** Keeps the form of a token request; the provider reads the same body. */
function keepForm(request: IncomingMessage, forms: URLSearchParams[]): void {
  const chunks: Buffer[] = []
  request.on('data', chunk => chunks.push(chunk))
  request.on('end', () => forms.push(new URLSearchParams(Buffer.concat(chunks).toString())))
}
