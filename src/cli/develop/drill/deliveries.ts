import { readdirSync, readFileSync } from 'node:fs'
import { handlers } from '../../../integration/handlers/index.ts'
import { DELETION_REQUIRED, SUSPENDED } from '../../../revento/platform.ts'
import { providers } from '../../../webhooks/providers/index.ts'
import { parseLossless } from '../../../webhooks/verify/lossless-json.ts'
import { EVENT, ORGANIZATION } from './world.ts'

export const HANDLERS_FOLDER = 'src/integration/handlers'
const INDEX = new URL('../../../integration/handlers/index.ts', import.meta.url)

export const handledTypes = (provider: string): string[] =>
  Object.entries(listOf(provider)).flatMap(([type, handler]) => (handler ? [type] : []))

/** The file from which index.ts imports the handler of a type; index.ts itself where it imports none. */
export function handlerFile(provider: string, type: string): string {
  const handler = listOf(provider)[type]
  const name = typeof handler === 'function' && /^\w+$/.test(handler.name) ? handler.name : '-'
  const imported = new RegExp(`import \\{[^}]*\\b${name}\\b[^}]*\\} from '\\./([^']+)'`)
  const [, file] = imported.exec(readFileSync(INDEX, 'utf8')) ?? []
  return `${HANDLERS_FOLDER}/${file ?? 'index.ts'}`
}

const listOf = (provider: string): Record<string, unknown> => {
  const all: Record<string, Record<string, unknown> | undefined> = { ...handlers }
  return all[provider] ?? {}
}

/** A webhook for the console to send. Without a body the sandbox makes one up. */
export interface Draft {
  readonly provider: string
  readonly type: string
  readonly body?: string
}

export const ENDINGS: readonly string[] = [DELETION_REQUIRED, SUSPENDED]
const EARLIER = '2027-01-10T09:00:00.000Z'
const LATER = '2027-01-10T10:30:00.000Z'
const CONNECTED = { event_id: EVENT, organization_id: ORGANIZATION }

/** The folder in which `deliveries -- capture` puts redacted payloads: real ones are better than ours. */
const CAPTURED = new URL('../../../../test/integration/captured/', import.meta.url)

/** The webhooks for the handlers, in waves. */
export function storyOf() {
  const types = handledTypes('revento')
  const repeatable = types.filter(type => !ENDINGS.includes(type))
  return {
    first: [
      ...repeatable.filter(type => type === 'application.approved').map(asDocumented),
      ...repeatable.map(type => revento(earlierType(type, types), type, EARLIER)),
      ...otherSenders(),
      ...captured(),
    ],
    /** Newer news of the same people. */
    second: repeatable.map(type => revento(type, type, LATER)),
    /** The endings, of an event of its own and of the whole integration: nothing can come after them. */
    last: types.filter(type => ENDINGS.includes(type)).map(ending),
  }
}

/** Webhooks of every provider but Revento, your own senders included. Inline ones, whose caller waits, are left out. */
export const otherSenders = (): Draft[] =>
  providers
    .filter(({ name, inline }) => name !== 'revento' && !inline)
    .flatMap(({ name }) => handledTypes(name).map(type => ({ provider: name, type })))

/** The type that comes first for an application: it is submitted before anything else happens to it. */
const earlierType = (type: string, handled: readonly string[]) =>
  /^(application|participant)\./.test(type) && handled.includes('application.submitted')
    ? 'application.submitted'
    : type

/** Stands in every id of a trial, so that effects.ts can tell whose handler stored a row. */
export const trialOf = (type: string) => `drill_${type.replaceAll(/\W/g, '_')}`

function envelope(type: string, id: string, occurred_at: string, rest: object): Draft {
  const whole = { id: `evt_delivery_${id}`, type, occurred_at, ...CONNECTED, ...rest }
  return { provider: 'revento', type, body: JSON.stringify(whole) }
}

const revento = (type: string, trial: string, at: string): Draft =>
  envelope(type, `${trialOf(trial)}_${at === LATER ? 2 : 1}`, at, {
    data: snapshot(type, trialOf(trial), at),
  })

/** The payload with the fields that the guide shows, and no other: a handler may rely on these. */
function asDocumented(type: string): Draft {
  const trial = trialOf('documented')
  const data = {
    id: `app_${trial}`,
    participant_id: `ptp_${trial}`,
    user_id: `usr_${trial}`,
    status: 'approved',
    approved_at: EARLIER,
    approver_id: 'usr_org_123',
    custom_form_fields: {},
  }
  return envelope(type, trial, EARLIER, { data })
}

/** An ending of an event of its own; of the whole integration it has no ids, as the guide says. */
const ending = (type: string): Draft =>
  envelope(type, trialOf(type), LATER, {
    ...(type.startsWith('integration.')
      ? { event_id: null, organization_id: null }
      : { event_id: 'evt_drill_ended' }),
    data: {},
  })

/** The erasure of the connected event. `at` is in milliseconds. */
export const deletion = (at: number): Draft =>
  envelope(DELETION_REQUIRED, trialOf('erased'), new Date(at).toISOString(), {
    data: { reason: 'connection_ended' },
  })

const STATUS: Readonly<Record<string, string>> = {
  'application.submitted': 'pending',
  'application.rejected': 'rejected',
  'application.revision_requested': 'revision_requested',
}

/** Data as the sandbox writes it, of the same person or activity throughout a trial. */
function snapshot(type: string, trial: string, at: string): object {
  if (type.startsWith('activity.')) {
    const signups = at === LATER ? 40 : 12
    const capacity_state = at === LATER ? 'full' : 'available'
    return { id: `act_${trial}`, title: 'Lantern making', capacity: 40, signups, capacity_state }
  }
  if (!/^(application|participant)\./.test(type)) return { id: `obj_${trial}` }
  const ids = { participant_id: `ptp_${trial}`, user_id: `usr_${trial}` }
  const status = STATUS[type] ?? 'approved'
  const person = { name: 'Zoë O’Neill-Ødegård', email: `${trial}@example.org`, application_status: status }
  if (type.startsWith('participant.'))
    return { id: ids.participant_id, ...ids, ...person, role: 'attendee', registered_at: at }
  const custom_form_fields = { favorite_track: 'Craft and props', dietary_notes: null, first_visit: true }
  const reviewed = type.endsWith('.approved') ? { approved_at: at, approver_id: 'usr_org_123' } : {}
  return { id: `app_${trial}`, ...ids, ...person, status, custom_form_fields, ...reviewed }
}

/** The ids in a captured payload, which get a mark: the sandbox has no such people. */
const PEOPLE = /"(ptp|app|usr|act)_/g

/** The captured payloads, as webhooks of the connected event. */
function captured(): Draft[] {
  const files = listed(CAPTURED).filter(name => name.endsWith('.json'))
  return files.flatMap((name, n) => {
    const fixture = parseLossless(readFileSync(new URL(name, CAPTURED), 'utf8'))
    const { type, event } = fixture as { type: string; event: object }
    const isMeant = handledTypes('revento').includes(type) && !ENDINGS.includes(type)
    const body = JSON.stringify({ ...event, ...CONNECTED }).replaceAll(PEOPLE, `"$1_captured_${n}_`)
    return isMeant ? [{ provider: 'revento', type, body }] : []
  })
}

function listed(folder: URL): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}
