import { Agent, buildConnector, type Dispatcher, errors, request } from 'undici'
import { CONSENT_S } from './platform.ts'

export const TIMEOUT_MS = 10_000
const CONNECT_MS = 5_000
const ANSWER_LIMIT = 1024 * 1024

/** The outgoing connections. The proxies of the environment are not used: secrets go straight to Revento. */
export interface Outgoing {
  readonly api: Dispatcher
  readonly token: Dispatcher
  close(): Promise<void>
}

/**
 * One connection for each request. On a kept one a second answer that nobody asked for would be taken for the answer
 * to the next request, another organizer's; and one that dies under a POST leaves its outcome unknown. HTTP/1.1 only,
 * since HTTP/2 shares its connection.
 */
export function createOutgoing(): Outgoing {
  const agent = () =>
    new Agent({ pipelining: 0, allowH2: false, maxResponseSize: ANSWER_LIMIT, connect: connector() })
  const api = agent()
  const token = agent()
  return {
    api,
    token,
    close: async () => {
      await Promise.all([api.destroy(), token.destroy()])
    },
  }
}

/** There was no connection, or no trusted certificate at its other end: nothing was sent. */
class NotConnected extends Error {
  override readonly name = 'NotConnected'
}

function connector(): buildConnector.connector {
  // Said here, a certificate is checked also where NODE_TLS_REJECT_UNAUTHORIZED says otherwise.
  const connect = buildConnector({ timeout: CONNECT_MS, allowH2: false, rejectUnauthorized: true })
  return (options, callback) =>
    connect(options, (...[error, socket]) => {
      if (error) callback(new NotConnected('no connection', { cause: error }), null)
      else callback(null, socket)
    })
}

export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
}

/**
 * One HTTP exchange, bounded in total time (a dripping body too) and size. Redirects are not followed and bodies
 * are not decompressed: a secret goes to one host, and an answer is never larger than what was sent.
 */
export async function exchange(
  dispatcher: Dispatcher,
  url: string,
  options: { method: 'GET' | 'POST'; headers: Record<string, string>; body?: string; signal?: AbortSignal },
): Promise<HttpAnswer> {
  const limits = [AbortSignal.timeout(TIMEOUT_MS), ...(options.signal ? [options.signal] : [])]
  const { statusCode, headers, body } = await request(url, {
    method: options.method,
    headers: options.headers,
    body: options.body ?? null,
    dispatcher,
    signal: AbortSignal.any(limits),
  })
  return { status: statusCode, headers, text: await readText(body) }
}

/** The megabyte may come in so many pieces: each costs far more than its bytes, and a million of them 300 MB. */
const MOST_PIECES = 10_000

async function readText(body: AsyncIterable<Uint8Array>): Promise<string> {
  const pieces: Uint8Array[] = []
  for await (const piece of body)
    if (pieces.push(piece) > MOST_PIECES) throw new errors.ResponseExceededMaxSizeError()
  return new TextDecoder().decode(Buffer.concat(pieces))
}

/** Nothing of the request has left: it can be sent again without having been sent twice. */
export const neverSent = (error: unknown): boolean => causes(error).some(e => e instanceof NotConnected)

const TIMEOUTS = new Set(['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'])

/** AbortSignal.timeout rejects with a DOMException: known by its name, its code is a number. */
export const isTimeout = (error: unknown): boolean =>
  causes(error).some(
    ({ name, code }) => name === 'TimeoutError' || (code !== undefined && TIMEOUTS.has(code)),
  )

/** The answer went over the limit and was cut off: asking again brings the same. */
export const isTooLarge = (error: unknown): boolean =>
  causes(error).some(({ code }) => code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE')

/** The network's own code for it, such as ENOTFOUND; else the name of the error. */
export function reasonOf(error: unknown): string {
  const chain = causes(error)
  const code = chain.map(e => e.code).find(code => typeof code === 'string')
  return code ?? chain.map(e => e.name).find(name => name !== undefined && name !== 'Error') ?? 'unknown'
}

function causes(error: unknown): { name?: string; code?: string }[] {
  const chain: { name?: string; code?: string; cause?: unknown; errors?: unknown[] }[] = []
  for (let e = error; typeof e === 'object' && e !== null && chain.length < 8; ) {
    const link = e as (typeof chain)[number]
    chain.push(link)
    e = link.cause ?? link.errors?.[0]
  }
  return chain
}

/** As long as a consent can be: whoever waits longer finds nothing left to wait for, and a sum that no column takes. */
const LONGEST_WAIT_MS = CONSENT_S * 1000

/** RFC 9110 section 10.2.3: seconds, or a date; in ms from now. Undefined where it says neither. */
export function retryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined
  if (/^\d+$/.test(header)) return Math.min(Number(header) * 1000, LONGEST_WAIT_MS)
  const at = /^[A-Z][a-z]{2}, /.test(header) ? Date.parse(header) : Number.NaN
  return Number.isNaN(at) ? undefined : Math.min(Math.max(0, at - now), LONGEST_WAIT_MS)
}
