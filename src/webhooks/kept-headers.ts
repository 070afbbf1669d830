import type { IncomingHttpHeaders } from 'node:http'
import type { Provider } from './verify/provider.ts'

/** Whole seconds and the network explain a smaller difference; a larger one is a retry, a queue or a wrong clock. */
const LATE_MS = 5_000
const PLAIN = /^[\x20-\x7e]{1,200}$/

/**
 * The headers of a delivery that its story shows, as JSON: the program that sent it, and what differs from what its
 * sender's documentation says. Ids stand in columns of their own. A signature, a cookie, a credential or an address is
 * never among them, and nothing of a person: this is a list of what is kept, and none of what is left out.
 */
export function keptHeaders(
  { contentType, typeHeader, timestamp, signature }: Provider,
  headers: IncomingHttpHeaders,
  { type, receivedAt }: { type: string; receivedAt: number },
): string | undefined {
  const kept: Record<string, string> = {}
  const keep = (name: string | undefined, isUnusual: (text: string) => boolean) => {
    const text = name && headers[name]
    if (name && typeof text === 'string' && isUnusual(text) && PLAIN.test(text)) kept[name] = text
  }
  keep('user-agent', () => true)
  keep('content-type', text => text !== contentType)
  keep(typeHeader, text => text !== type)
  if (timestamp && timestamp.header !== signature.header)
    keep(timestamp.header, text => Math.abs(timestamp.toMs(text) - receivedAt) > LATE_MS)
  return Object.keys(kept).length > 0 ? JSON.stringify(kept) : undefined
}
