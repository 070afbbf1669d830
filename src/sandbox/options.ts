import type { FastifyBaseLogger } from 'fastify'
import type { Dispatcher } from 'undici'
import type { Runtime } from '../process/runtime.ts'
import type { Provider } from '../webhooks/verify/provider.ts'

/** Somebody whose webhooks the console can send. */
export interface Sender {
  readonly provider: Provider
  readonly secret: string
  /** Where they go. */
  readonly url: string
}

/** A delivery as it went out. `at` in milliseconds: when, by this machine's clock. */
export interface Sent {
  readonly provider: Provider
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly at: number
}

/** Looks at a refused delivery with the receiver's eyes. Undefined: nothing to say. */
export type Explain = (sent: Sent) => string | undefined

export interface SandboxOptions {
  /** A loopback name or address; anything else is refused. */
  host: string
  /** 0: any free port, see `Sandbox.url`. */
  port: number
  clientId: string
  clientSecret: string
  /** The one registered redirect URI, compared byte for byte. */
  redirectUri: string
  /** Revento first, then whoever else the app takes webhooks of. */
  senders: readonly Sender[]
  /** Adds to the delivery log why the app refused a delivery. */
  explain?: Explain
  /** JSON file for installations and tokens; absent: memory only. */
  stateFile?: string
  /** Refuses to start when true. */
  production: boolean
  runtime: Runtime
  dispatcher: Dispatcher
  log: FastifyBaseLogger
  /** Artificial time per API answer in milliseconds, so that the in-flight budget can be met; default none. */
  apiDelayMs?: number
}

export type RefusalCode = 'production' | 'not_loopback'

/** The sandbox issues tokens to anybody who presses a button: it must never face a network. */
export class SandboxRefused extends Error {
  readonly code: RefusalCode
  constructor(code: RefusalCode) {
    super(
      code === 'production'
        ? 'the sandbox does not run in production'
        : 'the sandbox listens on loopback only',
    )
    this.name = 'SandboxRefused'
    this.code = code
  }
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|::1)$/

export function refuseUnsafe({ production, host }: SandboxOptions): void {
  if (production) throw new SandboxRefused('production')
  if (!LOOPBACK.test(host)) throw new SandboxRefused('not_loopback')
}
