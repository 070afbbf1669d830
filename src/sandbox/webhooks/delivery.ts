import { Problem } from '../api/problem.ts'

/** One webhook and what became of it. Times are ISO 8601. */
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
  /** As it was meant to be sent. */
  body: string
  attempts: Attempt[]
}

/** `status`: what the receiver answered, null when nothing came; then `error` says why. */
export interface Attempt {
  at: string
  ms: number
  status: number | null
  error: string | null
  /** The name of the fault that struck it. */
  fault: string | null
  /** Why it was refused, in words. */
  autopsy: string | null
  /** As it went over the wire. */
  request: Wire
  answer: string | null
}

export interface Wire {
  url: string
  headers: Record<string, string>
  body: string
}

/** A delivery in a list: without bodies and headers. */
export type Listed = Omit<Delivery, 'body' | 'attempts'> & {
  attempts: Omit<Attempt, 'request' | 'answer'>[]
}

export function listed({ body: _body, attempts, ...rest }: Delivery): Listed {
  return { ...rest, attempts: attempts.map(({ request: _request, answer: _answer, ...attempt }) => attempt) }
}

export interface DeliveryLog {
  add(delivery: Delivery): void
  find(id: string): Delivery
  /** Newest first. */
  list(): readonly Delivery[]
}

const KEPT = 300

export function createDeliveryLog(): DeliveryLog {
  const kept: Delivery[] = []
  return {
    add(delivery) {
      kept.unshift(delivery)
      kept.length = Math.min(kept.length, KEPT)
    },
    find(id) {
      const delivery = kept.find(({ delivery_id }) => delivery_id === id)
      if (!delivery) throw new Problem('not_found')
      return delivery
    },
    list: () => kept,
  }
}
