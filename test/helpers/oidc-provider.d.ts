/** The package has no types of its own: only what the independent server uses. */
declare module 'oidc-provider' {
  import type { IncomingMessage, ServerResponse } from 'node:http'

  export interface Context {
    status: number
    body: unknown
    oidc?: {
      route: string
      params?: Record<string, unknown>
      entities: { Grant?: { jti: string } }
    }
  }

  export class Provider {
    constructor(issuer: string, configuration: Record<string, unknown>)
    callback(): (request: IncomingMessage, response: ServerResponse) => void
    use(middleware: (context: Context, next: () => Promise<void>) => Promise<void>): void
    on(event: 'authorization.success', listener: (context: Context) => void): this
    readonly AccessToken: {
      find(token: string): Promise<{ grantId: string; clientId: string; scope: string } | undefined>
    }
  }
}
