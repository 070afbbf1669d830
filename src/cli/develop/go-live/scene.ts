import { type Dispatcher, request } from 'undici'
import type { Env } from '../../../config/checks.ts'
import type { Config } from '../../../config/settings.ts'
import type { Runtime } from '../../../process/runtime.ts'
import { reasonOf } from '../../../revento/http.ts'

/** The result of a check. `unsure`: the command cannot see it, and a person has to look. */
export interface Finding {
  readonly name: string
  readonly status: 'ok' | 'failed' | 'unsure'
  readonly said: string
  /** The thing to type or to change. */
  readonly todo?: string
}

/** The things that the checks look at: the settings of this shell, and the app through its public URL. */
export interface Scene {
  readonly env: Env
  readonly config: Config
  readonly dispatcher: Dispatcher
  readonly runtime: Runtime
}

/** The results that a check of that name can have. */
export const check = (name: string) => ({
  ok: (said: string): Finding => ({ name, status: 'ok', said }),
  failed: (said: string, todo: string): Finding => ({ name, status: 'failed', said, todo }),
  unsure: (said: string, todo: string): Finding => ({ name, status: 'unsure', said, todo }),
})

export interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  readonly ms: number
}

/** The network's own code for a request without an answer, and what to do about it. */
export interface Unanswered {
  readonly reason: string
  readonly todo: string
}

interface Question {
  readonly method?: 'GET' | 'POST'
  readonly headers?: Record<string, string>
  readonly body?: Buffer
}

const TIMEOUT_MS = 15_000

/** Sends one request. A redirect is not followed, since the proxy's own answer is judged. */
export async function ask(
  { dispatcher, runtime }: Pick<Scene, 'dispatcher' | 'runtime'>,
  url: string,
  { method = 'GET', headers = {}, body }: Question = {},
): Promise<Answered | Unanswered> {
  const begun = runtime.monotonic()
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const answer = await request(url, { method, headers, body: body ?? null, dispatcher, signal })
    const text = await answer.body.text()
    return { status: answer.statusCode, headers: answer.headers, text, ms: runtime.monotonic() - begun }
  } catch (error) {
    const reason = reasonOf(error)
    return {
      reason,
      todo: FIXES[reason] ?? 'Start the app and its proxy, and check that this URL leads to them.',
    }
  }
}

const OWN_CA = 'give a certificate of a known authority, or name your own in NODE_EXTRA_CA_CERTS'
const FIXES: Readonly<Record<string, string>> = {
  ENOTFOUND: 'The name has no address: add it to your DNS, or correct REVENTO_REDIRECT_URI.',
  ECONNREFUSED: 'Nothing listens there: start the proxy and open its port.',
  CERT_HAS_EXPIRED: 'Renew the certificate.',
  ERR_TLS_CERT_ALTNAME_INVALID:
    'The certificate is for another name: get one for the host of REVENTO_REDIRECT_URI.',
  DEPTH_ZERO_SELF_SIGNED_CERT: `The certificate is self-signed: ${OWN_CA}.`,
  SELF_SIGNED_CERT_IN_CHAIN: `The authority is not known: ${OWN_CA}.`,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: `The chain is incomplete: have the proxy send the intermediate certificate, or ${OWN_CA}.`,
  EPROTO: 'What answers there does not speak TLS: let the proxy end TLS on this port.',
  TimeoutError: 'It took longer than 15 s: look at the proxies and firewalls between.',
}

/** A header that was sent once. */
export function header({ headers }: Answered, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : undefined
}

/** The stable code of one of this app's errors. */
export function errorCode({ text }: Answered): string | undefined {
  try {
    return String((JSON.parse(text) as { error?: unknown }).error)
  } catch {
    return undefined
  }
}
