import type { Context } from './context.ts'
import { active, CONTROLS, type Control, controls, TOLD_BY } from './control.ts'
import { findEvent, testEvents } from './events.ts'
import type { Wanted } from './faults.ts'
import { type Fields, flag, object, text, whole } from './fields.ts'
import { freshIds, type Message, sampleBody } from './message.ts'
import type { Notice } from './notice.ts'
import { Problem } from './problem.ts'
import { addressed, draftOf, envelope } from './story.ts'

/** What an action did: as JSON, and for the page, where one is to look now and what it says there. */
export interface Done {
  readonly json: object
  readonly page: string
  readonly notice: Notice
}

/** Everything the console can do. Each is a form's target below /console and a JSON route below /console/api. */
export interface Action {
  readonly path: string
  /** 202: it goes on after the answer. */
  readonly status: 200 | 202
  run(context: Context, fields: Fields, id: string): Done
}

export const ACTIONS: readonly Action[] = [
  ...CONTROLS.map(name => action(`/${name}`, (context, fields) => control(context, name, fields))),
  action('/clock', moveClock),
  action('/clock/reset', resetClock),
  action('/faults', startFault),
  action('/faults/clear', clearFaults),
  action('/webhooks', sendWebhook, 202),
  action('/deliveries/:id/resend', resend, 202),
]

function action(path: string, run: Action['run'], status: Action['status'] = 200): Action {
  return { path, status, run }
}

/** For one event, or for all without an id. With `tell` the app also gets the webhook that says so. */
function control(context: Context, name: Control, fields: Fields): Done {
  const { state, options, clock, deliveries, save } = context
  const eventId = text(fields, 'event_id')
  if (eventId !== undefined && !findEvent(eventId)) throw new Problem('not_found')
  const type = flag(fields, 'tell') ? TOLD_BY[name] : undefined
  const concerned = new Set(active(state, eventId).map(({ event_id }) => event_id))
  const changed = controls[name](state, eventId, clock.now())
  for (const message of type ? tellings(context, type, [...concerned]) : []) deliveries.start(message)
  save()
  options.log.info({ part: 'sandbox', control: name, event_id: eventId, changed }, 'sandbox control')
  return { json: { changed }, page: '/', notice: { done: name, count: changed } }
}

/** One webhook for each event, or a single one at integration level. */
function tellings(context: Context, type: string, eventIds: string[]): Message[] {
  const events = eventIds.flatMap(id => findEvent(id) ?? [])
  const told = type.startsWith('integration.') ? events.slice(0, 1) : events
  const { state, options } = context
  const at = new Date(options.runtime.now()).toISOString()
  const sender = senderOf(context, undefined)
  return told.map(event => {
    return { sender, ...envelope(draftOf(state, type, event, at), options.runtime) }
  })
}

function moveClock(context: Context, fields: Fields): Done {
  const seconds = whole(fields, 'advance_s', 400_000_000)
  if (seconds === undefined) throw new Problem('invalid_request')
  if (!context.clock.advance(seconds * 1000)) throw new Problem('clock_limit')
  context.save()
  return { json: clockOf(context), page: '/', notice: { done: 'clock-moved', count: seconds } }
}

function resetClock(context: Context): Done {
  context.clock.reset()
  context.save()
  return { json: clockOf(context), page: '/', notice: { done: 'clock-reset', count: 0 } }
}

export const clockOf = ({ clock }: Context) => {
  return { now: new Date(clock.now()).toISOString(), offset_s: clock.offset() / 1000 }
}

function startFault({ faults }: Context, fields: Fields): Done {
  const wanted = readFault(fields)
  if (!faults.start(wanted)) throw new Problem('not_found')
  const found = faults.list().find(({ fault }) => fault.name === wanted.name)
  const notice = { done: 'fault-started', count: 0, what: wanted.name } as const
  return { json: { ...found?.term, name: wanted.name }, page: '/faults', notice }
}

const MOST_TIMES = 1000
const DAY_S = 86_400
const MOST_AT_ONCE = 200

/** `count` or `seconds`; a form says `amount` and `unit`. */
function readFault(fields: Fields): Wanted {
  const unit = text(fields, 'unit')
  if (unit !== undefined && unit !== 'count' && unit !== 'seconds') throw new Problem('invalid_request')
  const given = unit ? { [unit]: fields['amount'] } : fields
  const [count, seconds] = [whole(given, 'count', MOST_TIMES), whole(given, 'seconds', DAY_S)]
  const term = { name: text(fields, 'name') ?? '', size: whole(fields, 'size', MOST_AT_ONCE) }
  if (count !== undefined && seconds === undefined) return { ...term, count }
  if (seconds !== undefined && count === undefined) return { ...term, seconds }
  throw new Problem('invalid_request')
}

function clearFaults({ faults }: Context, fields: Fields): Done {
  const cleared = faults.clear(text(fields, 'name'))
  return { json: { cleared }, page: '/faults', notice: { done: 'faults-cleared', count: cleared } }
}

function sendWebhook(context: Context, fields: Fields): Done {
  const message = readMessage(context, fields)
  const count = whole(fields, 'count', MOST_AT_ONCE) ?? 1
  const { runtime } = context.options
  const bodies = Array.from({ length: count }, (_, n) => (n ? freshIds(message.body, runtime) : message.body))
  const delivery_ids = bodies.map(body => context.deliveries.start({ ...message, body }))
  context.save()
  const [delivery_id = ''] = delivery_ids
  const notice = { done: 'webhook-sent', count, what: delivery_id } as const
  return { json: { delivery_id, delivery_ids }, page: '/webhooks', notice }
}

const TYPE = /^[a-z0-9_.]{1,100}$/

/** `body` goes out as it is; with `data` it is wrapped as the sender does; without either it is made up. */
function readMessage(context: Context, fields: Fields): Message {
  const { state, options } = context
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
  if (!isRevento)
    return { sender, type, event_id: null, body: sampleBody(sender, type, data, options.runtime) }
  const at = new Date(options.runtime.now()).toISOString()
  const draft = data ? { ...address, data } : draftOf(state, type, event, at)
  return { sender, ...envelope(draft, options.runtime) }
}

export function senderOf({ options }: Context, name: string | undefined) {
  const [first] = options.senders
  const sender = name === undefined ? first : options.senders.find(({ provider }) => provider.name === name)
  if (!sender) throw new Problem('not_found')
  return sender
}

function resend({ deliveries }: Context, _fields: Fields, id: string): Done {
  deliveries.resend(id)
  return {
    json: { delivery_id: id },
    page: `/deliveries/${id}`,
    notice: { done: 'webhook-resent', count: 1 },
  }
}
