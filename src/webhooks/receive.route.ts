import { isUtf8 } from 'node:buffer'
import type { FastifyInstance, FastifyReply, FastifyRequest, onResponseHookHandler } from 'fastify'
import { AppError } from '../http/errors.ts'
import type { NoteUse } from '../keys/meter.ts'
import type { Runtime } from '../process/runtime.ts'
import type { Observe } from '../revento/drift.ts'
import type { Platform } from '../storage/schema.ts'
import type { Incoming } from './inbox/append.ts'
import type { Inbox } from './inbox/inbox.ts'
import type { AnswerInline } from './inline/inline.ts'
import { keptHeaders } from './kept-headers.ts'
import { autopsy } from './verify/autopsy.ts'
import {
  type Envelope,
  isName,
  type Provider,
  type Received,
  SELF_TEST,
  type Secrets,
} from './verify/provider.ts'
import { fingerprint, verify } from './verify/signature.ts'

export interface ReceiveOptions {
  readonly provider: Provider
  /** The secrets of every provider: a failed check may find that another provider's was used. */
  readonly secrets: Readonly<Record<string, Secrets>>
  readonly inbox: Inbox
  readonly answerInline: AnswerInline
  readonly platform: Platform
  readonly bodyLimit: number
  /** Whether the log may say why a signature did not match. */
  readonly explain: boolean
  /** Called with which secret the sender used. */
  readonly noteUse: NoteUse
  /** Called with a rightly signed body that is no envelope. */
  readonly observe?: Observe | undefined
  /** Called after each answer. */
  readonly counted: onResponseHookHandler
  readonly runtime: Runtime
}

/** POST /webhooks/<provider>: verify the raw bytes, read them, commit them, answer. Nothing else happens here. */
export function receiveRoute(app: FastifyInstance, o: ReceiveOptions): void {
  app.route({
    method: 'POST',
    url: `/${o.provider.name}`,
    bodyLimit: o.bodyLimit,
    onRequest: (request, _reply, done) => {
      // Fastify would refuse a content type that it cannot read, before the signature is checked.
      if (o.provider.anyContentType) delete request.headers['content-type']
      done()
    },
    onResponse: o.counted,
    handler: (request, reply) => receive(o, request, reply),
  })
}

/** This function is not async: each promise between commit and answer costs every webhook. Errors are passed to Fastify. */
function receive(o: ReceiveOptions, request: FastifyRequest, reply: FastifyReply): void {
  const { provider, platform, runtime } = o
  checkContentType(provider, request.headers['content-type'])
  const body = bodyOf(request)
  const secret = checkSignature(o, request, body)
  const deliveryId = readDeliveryId(provider, request)
  const unsignedType = readUnsignedType(provider, request)
  const envelope = readEnvelope(o, request, body, { deliveryId, unsignedType })
  const { type, eventId } = envelope
  const announced = provider.typeHeader && request.headers[provider.typeHeader]
  request.outcome = {
    delivery_id: deliveryId,
    type,
    event_id: eventId,
    secret,
    ...(announced && announced !== type ? { type_header_differs: true } : undefined),
    ...(provider.unsignedTypeHeader ? { type_unsigned: true } : undefined),
  }
  const receivedAt = runtime.now()
  const delivery = {
    provider: provider.name,
    platform,
    deliveryId,
    envelope,
    receivedAt,
    body,
    span: request.span,
    headers: keptHeaders(provider, request.headers, { type, receivedAt }),
  }
  if (type !== SELF_TEST) o.noteUse(secret)
  const answered = provider.inline
    ? answerInline(o, delivery, request, reply)
    : o.inbox.append(delivery).then(id => accept(provider, id, request, reply))
  answered.catch(error => void reply.send(error))
}

function accept(provider: Provider, id: number, request: FastifyRequest, reply: FastifyReply): void {
  request.outcome = { delivery: id, ...request.outcome }
  if (typeof provider.accepted === 'string') reply.type('text/plain; charset=utf-8')
  if (provider.acceptedStatus) reply.code(provider.acceptedStatus)
  reply.send(provider.acceptedStatus === 204 ? undefined : provider.accepted)
}

async function answerInline(
  o: ReceiveOptions,
  delivery: Incoming,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<void> {
  const answer = await o.answerInline(o.provider, delivery)
  request.outcome = { ...request.outcome, delivery: answer.delivery, repeated: answer.repeated }
  reply.code(answer.status).type('application/json; charset=utf-8').send(answer.body)
}

const bodyOf = ({ body }: FastifyRequest) => (Buffer.isBuffer(body) ? body : Buffer.alloc(0))

/** Returns which secret the body was signed with. */
function checkSignature(o: ReceiveOptions, request: FastifyRequest, body: Buffer): 'current' | 'previous' {
  const { provider, secrets } = o
  const own = secrets[provider.name]
  if (!own) throw new AppError('not_found')
  const now = o.runtime.now()
  const verdict = verify(provider, own, request.headers, body, now)
  if (verdict.ok) return verdict.secret
  if (o.explain) request.outcome = { autopsy: autopsy(provider, secrets, request.headers, body, now) }
  const { status, code } = provider.refusal
  throw new AppError(code, { status, reason: verdict.reason })
}

function checkContentType({ contentType, anyContentType }: Provider, header: string | undefined): void {
  const mediaType = header?.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  if (!anyContentType && mediaType !== contentType)
    throw new AppError('unsupported_media_type', { reason: 'content_type' })
}

const DELIVERY_ID = /^[\x21-\x7e]{1,200}$/

/** Repeated headers arrive joined by ", ", which the form refuses. An unsigned id is compared without case. */
function readDeliveryId({ deliveryIdHeader, signed }: Provider, request: FastifyRequest): string | null {
  const value = deliveryIdHeader && request.headers[deliveryIdHeader]
  if (value === undefined) return null
  if (typeof value !== 'string' || !DELIVERY_ID.test(value))
    throw new AppError('invalid_delivery_id', { reason: 'delivery_id_malformed' })
  return signed.parts.includes('id') ? value : value.toLowerCase()
}

/** The type as its header names it, for a sender that signs none. Repeated headers arrive with a comma and a space. */
function readUnsignedType({ unsignedTypeHeader }: Provider, request: FastifyRequest): string | null {
  const value = unsignedTypeHeader && request.headers[unsignedTypeHeader]
  if (value === undefined) return null
  if (!isName(value)) throw new AppError('invalid_payload', { reason: 'type_header_malformed' })
  return value
}

/** Runs after the signature was checked. Only the autopsy, for a developer's log, reads a body that is not signed. */
function readEnvelope(
  { provider, observe }: ReceiveOptions,
  { headers }: FastifyRequest,
  body: Buffer,
  unsigned: Pick<Received, 'deliveryId' | 'unsignedType'>,
): Envelope {
  const json = provider.body === 'json' ? parseJson(body) : undefined
  const envelope = provider.read({
    json,
    ...unsigned,
    fingerprint: () => fingerprint(provider, headers, body),
  })
  if (envelope) return envelope
  observe?.({ door: 'webhook', body: json })
  throw new AppError('invalid_payload', { reason: 'not_an_envelope' })
}

function parseJson(body: Buffer): unknown {
  try {
    if (isUtf8(body)) return JSON.parse(body.toString())
  } catch {}
  throw new AppError('invalid_json', { reason: 'not_json' })
}
