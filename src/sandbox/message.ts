import { EVENT_TYPES } from '../revento/platform.ts'
import type { Runtime } from '../runtime.ts'
import type { Sender } from './options.ts'

/** A webhook to be sent; the body goes out byte for byte. */
export interface Message {
  readonly sender: Sender
  readonly type: string
  readonly event_id: string | null
  readonly body: string
}

interface Sample {
  readonly types: readonly string[]
  readonly body: (type: string, data: object | undefined, id: string, now: number) => object
}

const iso = (ms: number) => new Date(ms).toISOString()

/** What the senders' documents show of their bodies; members they do not show are this sandbox's choice. */
const SAMPLES: Readonly<Record<string, Sample>> = {
  entrupy: {
    types: ['session.completed', 'support.message', 'certificate.transfer'],
    body: (event, data, id) => ({ event, data: data ?? { id } }),
  },
  aghanim: {
    types: ['player.verify', 'item.add', 'item.remove', 'order.paid', 'order.canceled', 'order.refunded'],
    body: (event_type, data, id, now) => ({
      event_id: `whevt_${id}`,
      event_type,
      event_data: data ?? { player_id: 'player-1' },
      event_time: Math.floor(now / 1000),
      idempotency_key: null,
      sandbox: true,
      context: null,
    }),
  },
  barker: { types: ['bark'], body: (type, data, id) => ({ type, id, ...data }) },
  standard: {
    types: ['contact.created', 'contact.updated'],
    body: (type, data, id, now) => ({ type, timestamp: iso(now), data: data ?? { id } }),
  },
}

const PLAIN: Sample = { types: ['ping'], body: (type, data, id) => ({ id, type, data: data ?? {} }) }

/** The types a sender is known for; others can be sent too. */
export function typesOf({ provider }: Sender): readonly string[] {
  return provider.name === 'revento' ? EVENT_TYPES : (SAMPLES[provider.name] ?? PLAIN).types
}

/** A believable body of a sender other than Revento. */
export function sampleBody(sender: Sender, type: string, data: object | undefined, runtime: Runtime): string {
  const { body } = SAMPLES[sender.provider.name] ?? PLAIN
  return JSON.stringify(body(type, data, runtime.uuid(), runtime.now()))
}

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi

/** The same body as another message: every id the sandbox made is replaced, wherever it stands. */
export function freshIds(body: string, runtime: Pick<Runtime, 'uuid'>): string {
  const fresh = new Map<string, string>()
  return body.replaceAll(UUID, id => {
    const other = fresh.get(id) ?? runtime.uuid()
    fresh.set(id, other)
    return other
  })
}

/** The body's own id, for the log. */
export function idIn(body: string): string | null {
  try {
    const { id, event_id } = Object(JSON.parse(body)) as Record<string, unknown>
    return [id, event_id].find(value => typeof value === 'string') ?? null
  } catch {
    return null
  }
}
