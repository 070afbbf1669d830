import { findEvent, type TestEvent, testEvents } from '../api/events.ts'
import { Problem } from '../api/problem.ts'
import type { Context } from '../context.ts'
import { type Fields, object, text, whole } from '../fields.ts'
import type { Sender } from '../options.ts'
import { freshIds, type Message, MOST_AT_ONCE, sampleBody } from '../webhooks/delivery.ts'
import { addressed, draftOf, envelope } from '../webhooks/story.ts'

const TYPE = /^[a-z0-9_.]{1,100}$/

/** Starts `count` deliveries of one message, each with ids of its own, and answers their delivery ids. */
export function sendWebhooks(context: Context, fields: Fields): string[] {
  const count = whole(fields, 'count', MOST_AT_ONCE) ?? 1
  const message = readMessage(context, fields)
  const { runtime } = context.options
  const bodies = Array.from({ length: count }, (_, n) => (n ? freshIds(message.body, runtime) : message.body))
  const ids = bodies.map(body => context.deliveries.start({ ...message, body }))
  context.save()
  return ids
}

/** `body` goes out as it is; `data` goes into an envelope of Revento's; without either the message is made up. */
function readMessage(context: Context, fields: Fields): Message {
  const { options } = context
  const type = text(fields, 'type') ?? ''
  if (!TYPE.test(type)) throw new Problem('invalid_request')
  const sender = senderOf(context, text(fields, 'provider'))
  const eventId = text(fields, 'event_id')
  const event = eventId === undefined ? testEvents()[0] : findEvent(eventId)
  if (!event) throw new Problem('not_found')
  const [body, data] = [text(fields, 'body'), object(fields, 'data')]
  const isRevento = sender === options.senders[0]
  const address = addressed(type, event)
  if (body !== undefined) return { sender, type, event_id: isRevento ? address.event_id : null, body }
  if (isRevento && data) return { sender, ...envelope({ ...address, data }, options.runtime) }
  return believable(context, sender, type, event)
}

/** A message as its sender would write it. One of Revento's makes the change in `state` that it reports. */
export function believable(
  { state, options: { runtime, senders } }: Pick<Context, 'state' | 'options'>,
  sender: Sender,
  type: string,
  event: TestEvent,
): Message {
  if (sender !== senders[0]) return { sender, type, event_id: null, body: sampleBody(sender, type, runtime) }
  const at = new Date(runtime.now()).toISOString()
  return { sender, ...envelope(draftOf(state, type, event, at), runtime) }
}

/** The sender of that name; Revento without one. */
export function senderOf({ options: { senders } }: Context, name: string | undefined): Sender {
  const sender = name === undefined ? senders[0] : senders.find(({ provider }) => provider.name === name)
  if (!sender) throw new Problem('not_found')
  return sender
}
