import type { FastifyBaseLogger } from 'fastify'
import type { Dispatcher } from 'undici'
import type { Runtime } from '../process/runtime.ts'
import type { Provider } from '../webhooks/verify/provider.ts'

/** A provider whose webhooks the console can send. */
export interface Sender {
  readonly provider: Provider
  readonly secret: string
  /** The address of the app that takes them. */
  readonly url: string
}

/** A delivery as it was sent, and when (`at`: milliseconds of this machine's clock). */
export interface Sent {
  readonly provider: Provider
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
  readonly at: number
}

/** Says why the app refused a delivery; undefined where it cannot. */
export type Explain = (sent: Sent) => string | undefined

export interface SandboxOptions {
  /** A loopback name or address; anything else is refused. */
  host: string
  /** 0 takes any free port, which `Sandbox.url` then shows. */
  port: number
  clientId: string
  clientSecret: string
  /** The one registered redirect URI, compared byte for byte. */
  redirectUri: string
  /** Revento first, then the other providers whose webhooks the app takes. */
  senders: readonly Sender[]
  explain?: Explain
  /** JSON file for installations and tokens; without one they live in memory only. */
  stateFile?: string
  /** Refuses to start when true. */
  production: boolean
  runtime: Runtime
  dispatcher: Dispatcher
  log: FastifyBaseLogger
  /** Delays each API answer by that many milliseconds, so that a test can meet the in-flight budget. */
  apiDelayMs?: number
}

/** The sandbox issues tokens to any visitor who presses a button: it must never face a network. */
export class SandboxRefused extends Error {
  readonly code: 'production' | 'not_loopback'
  constructor(code: SandboxRefused['code']) {
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
