import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest, onResponseHookHandler } from 'fastify'
import { createCallerAddress, networkOf } from '../../http/caller-address.ts'
import { AppError } from '../../http/errors.ts'
import { singleParameters } from '../../http/parameters.ts'
import type { NoteUse, Which } from '../../keys/meter.ts'
import type { Runtime } from '../../process/runtime.ts'
import type { Platform } from '../../storage/schema.ts'
import type { Inbox } from '../inbox/inbox.ts'
import type { Secrets } from '../verify/provider.ts'
import type { HandshakeCallers } from './callers.ts'

export interface HandshakeOptions {
  readonly token: Secrets
  readonly callers: HandshakeCallers
  readonly trustedProxies: readonly string[]
  readonly inbox: Inbox
  readonly platform: Platform
  readonly bodyLimit: number
  /** Called with which of the two tokens a caller showed. */
  readonly noteUse: NoteUse
  /** Called after each answer to a delivery. */
  readonly counted: onResponseHookHandler
  readonly runtime: Runtime
}

const PER_MINUTE = 10
const MINUTE_MS = 60_000
const ADDRESSES = 10_000

/**
 * The verify-token handshake: an address that shows the token may post for 24 h. Nothing is signed, so this is as weak
 * as the address is; the statuses and bodies are those of its document.
 */
export function handshakeRoutes(app: FastifyInstance, o: HandshakeOptions): void {
  const limit = createAttemptsLimit(o.runtime)
  const addressOf = createCallerAddress(o.trustedProxies)

  function callerOf(request: FastifyRequest): string {
    const address = addressOf(request)
    if (address === undefined) throw new AppError('bad_request', { reason: 'no_caller_address' })
    return address
  }

  function refuse(reply: FastifyReply, status: string): FastifyReply {
    reply.request.outcome = { reason: status.replaceAll(' ', '_') }
    return reply.code(401).header('cache-control', 'no-store').send({ status })
  }

  app.get('/handshake', async (request, reply) => {
    const address = callerOf(request)
    reply.header('cache-control', 'no-store')
    // The right token is refused too, or the answer would confirm it. Only wrong tokens count: a busy sender whose
    // registration has run out posts more than ten times before it can show its token again.
    if (!limit.mayTry(address)) throw new AppError('too_many_requests')
    const given = singleParameters(request)?.get('verify_token')
    const which = given && tokenShown(given, o.token)
    if (!which) {
      limit.failed(address)
      return refuse(reply, 'bad token')
    }
    await o.callers.register(address)
    o.noteUse(which)
    return { status: 'success' }
  })

  app.post('/handshake', { bodyLimit: o.bodyLimit, onResponse: o.counted }, async (request, reply) => {
    const address = callerOf(request)
    const caller = await o.callers.check(address)
    if (caller === 'expired') return refuse(reply, 'authorisation timeout')
    if (caller === 'unknown') return refuse(reply, 'not authorised')
    const body = readJson(request)
    // Nothing in a request tells a repeat from a second event, so each one is a delivery of its own.
    const envelope = { id: o.runtime.uuid(), type: 'message', eventId: null, organizationId: null }
    const received = { deliveryId: null, envelope, receivedAt: o.runtime.now(), body, span: request.span }
    const delivery = { provider: 'handshake', platform: o.platform, ...received }
    request.outcome = { delivery: await o.inbox.append(delivery), type: envelope.type }
    return { status: 'success' }
  })
}

/** Compares the hashes, in constant time whatever the length. */
function tokenShown(given: string, { current, previous }: Secrets): Which | undefined {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  const mine = hash(given)
  const matches = [current, ...(previous ? [previous] : [])].map(token => timingSafeEqual(mine, hash(token)))
  return (['current', 'previous'] as const)[matches.indexOf(true)]
}

function readJson(request: FastifyRequest): Buffer {
  const mediaType = request.headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase()
  if (mediaType !== 'application/json')
    throw new AppError('unsupported_media_type', { reason: 'content_type' })
  const body = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0)
  try {
    JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body))
  } catch {
    throw new AppError('invalid_json', { reason: 'not_json' })
  }
  return body
}

/** Counts failures by address in this process, and says whether one more try is allowed in this minute. */
function createAttemptsLimit(runtime: Pick<Runtime, 'monotonic'>) {
  let failures = new Map<string, number>()
  let since = Number.NEGATIVE_INFINITY
  const current = () => {
    const now = runtime.monotonic()
    if (now - since >= MINUTE_MS || failures.size >= ADDRESSES) {
      failures = new Map()
      since = now
    }
    return failures
  }
  return {
    mayTry: (address: string) => (current().get(networkOf(address)) ?? 0) < PER_MINUTE,
    failed(address: string): void {
      const network = networkOf(address)
      current().set(network, (current().get(network) ?? 0) + 1)
    },
  }
}
