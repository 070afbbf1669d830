import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import type { Runtime } from '../runtime.ts'
import type { Inbox } from './inbox.ts'
import type { Provider, Secrets } from './provider.ts'
import { verify } from './signature.ts'

export interface ReceiveOptions {
  readonly provider: Provider
  readonly secrets: Secrets
  readonly inbox: Inbox
  readonly bodyLimit: number
  readonly runtime: Runtime
}

/** POST /webhooks/<provider>: verify the raw bytes, read them, commit them, answer. Nothing else happens here. */
export function receiveRoute(app: FastifyInstance, o: ReceiveOptions): void {
  app.route({
    method: 'POST',
    url: `/${o.provider.name}`,
    bodyLimit: o.bodyLimit,
    handler: (request, reply) => receive(o, request, reply),
  })
}

async function receive(o: ReceiveOptions, request: FastifyRequest, reply: FastifyReply): Promise<string> {
  const { provider, runtime } = o
  checkContentType(provider, request.headers['content-type'])
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
  const verdict = verify(provider, o.secrets, request.headers, body, runtime.now())
  if (!verdict.ok) throw new AppError('invalid_signature', { reason: verdict.reason })
  const deliveryId = readDeliveryId(provider, request)
  const envelope = readEnvelope(provider, body)
  const id = await o.inbox.append({
    provider: provider.name,
    deliveryId,
    envelope,
    receivedAt: runtime.now(),
    body,
  })
  const announced = provider.typeHeader && request.headers[provider.typeHeader]
  request.outcome = {
    delivery: id,
    delivery_id: deliveryId,
    type: envelope.type,
    event_id: envelope.eventId,
    secret: verdict.secret,
    ...(announced && announced !== envelope.type ? { type_header_differs: true } : {}),
  }
  return reply.type('text/plain; charset=utf-8').send('ok')
}

function checkContentType(provider: Provider, header: string | undefined): void {
  const mediaType = header?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (!provider.contentTypes.includes(mediaType))
    throw new AppError('unsupported_media_type', { reason: 'content_type' })
}

const DELIVERY_ID = /^[\x21-\x7e]{1,200}$/

/** Repeated headers arrive joined by ", ", which the form refuses. */
function readDeliveryId(provider: Provider, request: FastifyRequest): string | null {
  const value = provider.deliveryIdHeader && request.headers[provider.deliveryIdHeader]
  if (value === undefined) return null
  if (typeof value !== 'string' || !DELIVERY_ID.test(value))
    throw new AppError('invalid_delivery_id', { reason: 'delivery_id_malformed' })
  return value.toLowerCase()
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Only after the signature: nothing unsigned is ever parsed. */
function readEnvelope(provider: Provider, body: Buffer) {
  let parsed: unknown
  try {
    parsed = JSON.parse(utf8.decode(body))
  } catch {
    throw new AppError('invalid_json', { reason: 'not_json' })
  }
  const envelope = provider.read(parsed)
  if (!envelope) throw new AppError('invalid_payload', { reason: 'not_an_envelope' })
  return envelope
}
