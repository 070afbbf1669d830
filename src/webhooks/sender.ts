import { type Dispatcher, request } from 'undici'
import type { Provider } from './provider.ts'
import { sign } from './signature.ts'

export interface Outgoing {
  readonly url: string
  readonly provider: Provider
  readonly secret: string
  /** Sent and signed byte for byte. */
  readonly body: string
  readonly type: string
  readonly deliveryId: string
  /** Milliseconds since 1970: what the timestamp header says. */
  readonly at: number
  readonly timeoutMs: number
}

export interface Answer {
  readonly status: number
  readonly body: string
}

const ANSWER_LIMIT = 64 * 1024

/** Signs and posts one delivery; rejects with undici's error when no answer came. Follows no redirect. */
export async function send(delivery: Outgoing, dispatcher: Dispatcher): Promise<Answer> {
  const answer = await request(delivery.url, {
    method: 'POST',
    headers: headersOf(delivery),
    body: delivery.body,
    dispatcher,
    signal: AbortSignal.timeout(delivery.timeoutMs),
  })
  const text = await answer.body.text()
  return { status: answer.statusCode, body: text.slice(0, ANSWER_LIMIT) }
}

function headersOf({ provider, secret, body, type, deliveryId, at }: Outgoing): Record<string, string> {
  const timestamp = String(Math.floor(at / 1000))
  const headers: Record<string, string> = {
    [provider.signature.header]: sign(provider, secret, timestamp, Buffer.from(body)),
  }
  const [contentType] = provider.contentTypes
  if (contentType) headers['content-type'] = contentType
  if (provider.timestamp) headers[provider.timestamp.header] = timestamp
  if (provider.deliveryIdHeader) headers[provider.deliveryIdHeader] = deliveryId
  if (provider.typeHeader) headers[provider.typeHeader] = type
  return headers
}
