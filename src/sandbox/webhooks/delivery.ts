import type { Runtime } from '../../process/runtime.ts'
import { Problem } from '../api/problem.ts'
import type { Sender } from '../options.ts'

/** A webhook that the sandbox sends, with its attempts. Times are ISO 8601. */
export interface Delivery {
  delivery_id: string
  /** Null where the body has no id of its own. */
  envelope_id: string | null
  provider: string
  type: string
  event_id: string | null
  /** `dead`: every attempt failed. */
  state: 'pending' | 'delivered' | 'dead'
  created_at: string
  /** The body before any fault changes it. */
  body: string
  attempts: Attempt[]
}

/** One request with a delivery. `status` is null where no answer came; `error` then says why. */
export interface Attempt {
  at: string
  ms: number
  status: number | null
  error: string | null
  /** The name of the fault that struck the attempt. */
  fault: string | null
  /** The reason of a refusal, in words. */
  autopsy: string | null
  /** The request as it was really sent. */
  request: Wire
  answer: string | null
}

export interface Wire {
  url: string
  headers: Record<string, string>
  body: string
}

/** A delivery in a list, without bodies and headers. */
export function listed({ body: _body, attempts, ...rest }: Delivery) {
  return { ...rest, attempts: attempts.map(({ request: _request, answer: _answer, ...attempt }) => attempt) }
}

/** The largest burst, and the most webhooks of one request. */
export const MOST_AT_ONCE = 200

const KEPT = 300

/** The newest deliveries, the last one first. */
export function createDeliveryLog() {
  const kept: Delivery[] = []
  return {
    add(delivery: Delivery): void {
      kept.unshift(delivery)
      kept.length = Math.min(kept.length, KEPT)
    },
    find(id: string): Delivery {
      const delivery = kept.find(({ delivery_id }) => delivery_id === id)
      if (!delivery) throw new Problem('not_found')
      return delivery
    },
    list: (): readonly Delivery[] => kept,
    forget(): void {
      kept.length = 0
    },
  }
}

/** A webhook to send. Its body is sent byte for byte. */
export interface Message {
  readonly sender: Sender
  readonly type: string
  readonly event_id: string | null
  readonly body: string
}

/** A believable body of a provider other than Revento. */
export const sampleBody = ({ provider }: Sender, type: string, runtime: Runtime): string =>
  provider.example({ type, id: runtime.uuid(), at: runtime.now() })

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi

/** The same body as another message: every UUID in it is replaced, the same one by the same one. */
export function freshIds(body: string, runtime: Pick<Runtime, 'uuid'>): string {
  const fresh = new Map<string, string>()
  return body.replaceAll(UUID, id => {
    const other = fresh.get(id) ?? runtime.uuid()
    fresh.set(id, other)
    return other
  })
}

/** The id that the body itself carries, for the log. */
export function idIn(body: string): string | null {
  try {
    const { id, event_id } = Object(JSON.parse(body)) as Record<string, unknown>
    return [id, event_id].find(value => typeof value === 'string') ?? null
  } catch {
    return null
  }
}
