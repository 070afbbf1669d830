import { findEvent, testEvents } from '../api/events.ts'
import { Problem } from '../api/problem.ts'
import type { Context } from '../context.ts'
import { type Fields, object, text, whole } from '../fields.ts'
import type { SandboxOptions } from '../options.ts'
import { freshIds, type Message, sampleBody } from '../webhooks/delivery.ts'
import { addressed, draftOf, envelope } from '../webhooks/story.ts'
import { type Done, MOST_AT_ONCE } from './action.ts'

export function sendWebhook(context: Context, fields: Fields): Done {
  const count = whole(fields, 'count', MOST_AT_ONCE) ?? 1
  const message = readMessage(context, fields)
  const { runtime } = context.options
  const bodies = Array.from({ length: count }, (_, n) => (n ? freshIds(message.body, runtime) : message.body))
  const delivery_ids = bodies.map(body => context.deliveries.start({ ...message, body }))
  context.save()
  const [delivery_id = ''] = delivery_ids
  const notice = { done: 'webhook-sent', count, what: delivery_id } as const
  return { json: { delivery_id, delivery_ids }, page: '/webhooks', notice }
}

const TYPE = /^[a-z0-9_.]{1,100}$/

/** `body` goes out as it is; Revento's may be given as `data` in an envelope; without either it is made up. */
function readMessage(context: Context, fields: Fields): Message {
  const { state, options } = context
  const type = text(fields, 'type') ?? ''
  if (!TYPE.test(type)) throw new Problem('invalid_request')
  const sender = senderOf(options, text(fields, 'provider'))
  const eventId = text(fields, 'event_id')
  const event = eventId === undefined ? testEvents()[0] : findEvent(eventId)
  if (!event) throw new Problem('not_found')
  const [body, data] = [text(fields, 'body'), object(fields, 'data')]
  const isRevento = sender === options.senders[0]
  const address = addressed(type, event)
  if (body !== undefined) return { sender, type, event_id: isRevento ? address.event_id : null, body }
  if (!isRevento) return { sender, type, event_id: null, body: sampleBody(sender, type, options.runtime) }
  const at = new Date(options.runtime.now()).toISOString()
  const draft = data ? { ...address, data } : draftOf(state, type, event, at)
  return { sender, ...envelope(draft, options.runtime) }
}

export function senderOf(options: SandboxOptions, name: string | undefined) {
  const [first] = options.senders
  const sender = name === undefined ? first : options.senders.find(({ provider }) => provider.name === name)
  if (!sender) throw new Problem('not_found')
  return sender
}

export function resend({ deliveries }: Context, _fields: Fields, id: string): Done {
  deliveries.resend(id)
  return {
    json: { delivery_id: id },
    page: `/deliveries/${id}`,
    notice: { done: 'webhook-resent', count: 1 },
  }
}
