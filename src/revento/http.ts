import { Agent, type Dispatcher, request } from 'undici'

export const TIMEOUT_MS = 10_000
const ANSWER_LIMIT = 1024 * 1024

/** The outgoing connections: kept alive for the API; fresh ones for tokens, which must never be sent twice. */
export interface Outgoing {
  readonly api: Dispatcher
  readonly token: Dispatcher
  close(): Promise<void>
}

export function createOutgoing(): Outgoing {
  const bounds = { connect: { timeout: 5_000 }, maxResponseSize: ANSWER_LIMIT }
  const api = new Agent(bounds)
  // Pipelining 0 closes after each answer: a kept connection that dies under a POST leaves its outcome unknown.
  const token = new Agent({ ...bounds, pipelining: 0 })
  return {
    api,
    token,
    close: async () => {
      await Promise.all([api.destroy(), token.destroy()])
    },
  }
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
  return { status: statusCode, headers, text: await body.text() }
}

/** `timeout`: no answer in time. `refused`: nothing was sent. `broken`: it may have been received and processed. */
export type ExchangeFailure = 'timeout' | 'refused' | 'broken'

const NOT_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
])

export function classifyFailure(error: unknown): ExchangeFailure {
  for (const e of causes(error)) {
    if (e.code !== undefined && NOT_SENT.has(e.code))
      return e.code === 'UND_ERR_CONNECT_TIMEOUT' ? 'timeout' : 'refused'
    // AbortSignal.timeout rejects with a DOMException: known by its name, its code is a number.
    if (
      e.name === 'TimeoutError' ||
      e.code === 'UND_ERR_HEADERS_TIMEOUT' ||
      e.code === 'UND_ERR_BODY_TIMEOUT'
    )
      return 'timeout'
  }
  return 'broken'
}

/** The answer went over the limit and was cut off: asking again brings the same. */
export const isTooLarge = (error: unknown): boolean =>
  causes(error).some(({ code }) => code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE')

/** The network's own code for it, such as ENOTFOUND. */
export function reasonOf(error: unknown): string {
  const codes = causes(error).map(({ code, name }) => (typeof code === 'string' ? code : name))
  return codes.find(code => code !== undefined && code !== 'Error') ?? 'unknown'
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

/** RFC 9110 section 10.2.3: seconds, or a date; in ms from now, not shortened. Undefined where it says neither. */
export function retryAfter(header: string | null, now: number): number | undefined {
  if (header === null) return undefined
  if (/^\d{1,15}$/.test(header)) return Number(header) * 1000
  const at = /^[A-Z][a-z]{2}, /.test(header) ? Date.parse(header) : Number.NaN
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}
