import { findEvent } from '../api/events.ts'
import { Problem } from '../api/problem.ts'
import type { Context } from '../context.ts'
import { findFault } from '../faults/fault-table.ts'
import type { Wanted } from '../faults/faults.ts'
import { type Fields, flag, text, whole } from '../fields.ts'
import type { Message } from '../webhooks/delivery.ts'
import { draftOf, envelope } from '../webhooks/story.ts'
import { type Action, type Done, MOST_AT_ONCE } from './action.ts'
import { active, CONTROLS, type Control, controls, TOLD_BY } from './control.ts'
import { resend, senderOf, sendWebhook } from './send.action.ts'

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
  const sender = senderOf(options, undefined)
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
  if (!findFault(text(fields, 'name') ?? '')) throw new Problem('unknown_fault')
  const wanted = readFault(fields)
  faults.start(wanted)
  const found = faults.list().find(({ fault }) => fault.name === wanted.name)
  const notice = { done: 'fault-started', count: 0, what: wanted.name } as const
  return { json: { ...found?.term, name: wanted.name }, page: '/faults', notice }
}

const MOST_TIMES = 1000
const DAY_S = 86_400

/** `count` or `seconds`; a form says `amount` and `unit`. */
function readFault(fields: Fields): Wanted {
  const unit = text(fields, 'unit')
  if (unit !== undefined && unit !== 'count' && unit !== 'seconds') throw new Problem('invalid_request')
  const given = unit ? { [unit]: fields['amount'] } : fields
  const [count, seconds] = [whole(given, 'count', MOST_TIMES), whole(given, 'seconds', DAY_S)]
  const term = { name: text(fields, 'name') ?? '', size: whole(fields, 'size', MOST_AT_ONCE) }
  if (count !== undefined && seconds === undefined) return { ...term, count }
  if (seconds !== undefined && count === undefined) return { ...term, seconds }
  throw new Problem('invalid_term')
}

function clearFaults({ faults }: Context, fields: Fields): Done {
  const cleared = faults.clear(text(fields, 'name'))
  return { json: { cleared }, page: '/faults', notice: { done: 'faults-cleared', count: cleared } }
}
