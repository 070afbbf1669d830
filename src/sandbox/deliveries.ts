import { revento } from '../webhooks/providers/revento.ts'
import { send } from '../webhooks/sender.ts'
import { findEvent } from './events.ts'
import type { SandboxOptions } from './options.ts'
import type { Installation, State } from './state.ts'
import { type Draft, story } from './story.ts'

/** One webhook and what became of it. Times are ISO 8601. */
export interface Delivery {
  delivery_id: string
  envelope_id: string
  type: string
  event_id: string | null
  /** `dead`: every attempt failed. */
  state: 'pending' | 'delivered' | 'dead'
  created_at: string
  attempts: Attempt[]
}

/** `status`: what the receiver answered, null when nothing came; then `error` says why. */
export interface Attempt {
  at: string
  status: number | null
  error: string | null
}

export interface Deliveries {
  /** Starts one delivery and answers its id at once. */
  start(draft: Draft): string
  /** What happens at an event just after it was connected, over about four seconds. */
  tellStory(installation: Installation): void
  /** Newest first. */
  list(): Delivery[]
  /** Cancels every wait; nothing is sent afterwards. */
  stop(): Promise<void>
}

/** Seconds between attempts; after the last the delivery is dead. */
export const RETRY_AFTER_S = [1, 2, 4, 8, 16, 30, 60] as const
const ATTEMPT_MS = 10_000
const KEPT = 200

interface Needs {
  options: SandboxOptions
  state: State
  save: () => void
}

export function createDeliveries({ options, state, save }: Needs): Deliveries {
  const { runtime, log } = options
  const stopping = new AbortController()
  const running = new Set<Promise<void>>()
  const kept: Delivery[] = []
  const time = () => new Date(runtime.now()).toISOString()

  /** Nobody awaits a delivery, so nothing may be thrown past here. */
  function inBackground(work: Promise<void>) {
    const settled = work.catch((err: unknown) => {
      if (!stopping.signal.aborted)
        log.error({ part: 'sandbox', err: nameOf(err) }, 'sandbox delivery failed')
    })
    running.add(settled)
    void settled.then(() => running.delete(settled))
  }

  function start(draft: Draft): string {
    const { type, ...rest } = draft
    const body = { id: `evt_delivery_${runtime.uuid()}`, type, occurred_at: time(), ...rest }
    const delivery: Delivery = {
      delivery_id: runtime.uuid(),
      envelope_id: body.id,
      type,
      event_id: draft.event_id,
      state: 'pending',
      created_at: body.occurred_at,
      attempts: [],
    }
    kept.unshift(delivery)
    kept.length = Math.min(kept.length, KEPT)
    inBackground(deliver(delivery, JSON.stringify(body)))
    return delivery.delivery_id
  }

  async function deliver(delivery: Delivery, body: string): Promise<void> {
    for (const waitS of [...RETRY_AFTER_S, undefined]) {
      const result = await attempt(delivery, body)
      delivery.attempts.push(result)
      if (result.status !== null && result.status >= 200 && result.status < 300) {
        delivery.state = 'delivered'
        return
      }
      if (stopping.signal.aborted) return
      if (waitS !== undefined) await runtime.sleep(waitS * 1000, stopping.signal)
    }
    delivery.state = 'dead'
  }

  /** Signed anew each time: an old timestamp would be refused as a replay. */
  async function attempt({ delivery_id, type }: Delivery, body: string): Promise<Attempt> {
    const { webhookUrl: url, webhookSecret: secret, dispatcher } = options
    const at = time()
    const sent = { url, provider: revento, secret, body, type, deliveryId: delivery_id, at: runtime.now() }
    try {
      const answer = await send({ ...sent, timeoutMs: ATTEMPT_MS }, dispatcher)
      return { at, status: answer.status, error: null }
    } catch (err) {
      return { at, status: null, error: nameOf(err) }
    }
  }

  function tellStory(installation: Installation) {
    inBackground(tell(installation))
  }

  async function tell(installation: Installation): Promise<void> {
    const event = findEvent(installation.event_id)
    for (const { afterMs, draft } of event ? story(state, event, runtime) : []) {
      await runtime.sleep(afterMs, stopping.signal)
      if (installation.ended !== null) return
      start(draft())
      save()
    }
  }

  async function stop(): Promise<void> {
    stopping.abort()
    // An attempt may still wait for its answer; its own time limit ends it and nobody listens any more.
    const halfSecond = AbortSignal.timeout(500)
    const given = new Promise<void>(resolve => halfSecond.addEventListener('abort', () => resolve()))
    await Promise.race([Promise.all(running), given])
  }

  return { start, tellStory, list: () => [...kept], stop }
}

function nameOf(err: unknown): string {
  if (!(err instanceof Error)) return 'unknown'
  return 'code' in err && typeof err.code === 'string' ? err.code : err.name
}
