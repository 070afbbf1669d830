import { type Dispatcher, request } from 'undici'
import type { Provider } from './provider.ts'
import { sign } from './signature.ts'

/** A delivery to be sent, the provider that it comes from, and the URL that it goes to. */
export interface Outgoing {
  readonly url: string
  readonly provider: Provider
  readonly secret: string
  /** Sent and signed byte for byte. */
  readonly body: string | Uint8Array
  readonly type: string
  readonly deliveryId: string
  /** Milliseconds since 1970: what the timestamp header says. */
  readonly at: number
  readonly timeoutMs: number
}

/** The receiver's response. `headers` by their lower-case names. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: string
}

const ANSWER_LIMIT = 64 * 1024

/** Signs and posts one delivery; rejects with undici's error when no answer came. Follows no redirect. */
export const send = (delivery: Outgoing, dispatcher: Dispatcher): Promise<Answer> =>
  post({ ...delivery, headers: signedHeaders(delivery) }, dispatcher)

/** Posts a body with given headers, whether signed or not. */
export async function post(
  o: Pick<Outgoing, 'url' | 'body' | 'timeoutMs'> & { headers: Record<string, string> },
  dispatcher: Dispatcher,
): Promise<Answer> {
  const answer = await request(o.url, {
    method: 'POST',
    headers: o.headers,
    body: o.body,
    dispatcher,
    signal: AbortSignal.timeout(o.timeoutMs),
  })
  const text = await answer.body.text()
  return { status: answer.statusCode, headers: answer.headers, body: text.slice(0, ANSWER_LIMIT) }
}

export type Signed = Pick<Outgoing, 'provider' | 'secret' | 'body' | 'type' | 'deliveryId' | 'at'>

export function signedHeaders({
  provider,
  secret,
  body,
  type,
  deliveryId,
  at,
}: Signed): Record<string, string> {
  const timestamp = provider.timestamp?.fromMs(at) ?? ''
  const headers: Record<string, string> = {
    [provider.signature.header]: sign(provider, secret, timestamp, Buffer.from(body), deliveryId),
  }
  if (provider.contentType) headers['content-type'] = provider.contentType
  if (provider.timestamp && !provider.signature.pairs) headers[provider.timestamp.header] = timestamp
  if (provider.deliveryIdHeader) headers[provider.deliveryIdHeader] = deliveryId
  const typeHeader = provider.typeHeader ?? provider.unsignedTypeHeader
  if (typeHeader) headers[typeHeader] = type
  return headers
}

/** The handshake: shows the verify token, so that this address may post; resolves with the answer's status. */
export async function showToken(
  o: { url: string; token: string; timeoutMs: number },
  dispatcher: Dispatcher,
): Promise<number> {
  const url = new URL(o.url)
  url.searchParams.set('verify_token', o.token)
  const answer = await request(url, { dispatcher, signal: AbortSignal.timeout(o.timeoutMs) })
  await answer.body.dump()
  return answer.statusCode
}
