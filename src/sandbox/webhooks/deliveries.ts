import type { Runtime } from '../../process/runtime.ts'
import { findEvent } from '../api/events.ts'
import { Problem } from '../api/problem.ts'
import type { Faults } from '../faults/faults.ts'
import type { SandboxOptions, Sender } from '../options.ts'
import type { Installation, State } from '../state.ts'
import { attempt, nameOf } from './attempt.ts'
import { createDeliveryLog, type Delivery, freshIds, idIn, type Message } from './delivery.ts'
import { envelope, story } from './story.ts'

/** The pauses between attempts in seconds. A delivery that fails after the last of them is dead. */
const RETRY_AFTER_S = [1, 2, 4, 8, 16, 30, 60] as const

interface Needs {
  options: SandboxOptions
  state: State
  faults: Faults
  save: () => void
}

export function createDeliveries({ options, state, faults, save }: Needs) {
  const { runtime, log } = options
  const stopping = new AbortController()
  let forgotten = new AbortController()
  const running = new Set<Promise<void>>()
  const kept = createDeliveryLog()
  const overtaking = createOvertaking(runtime, stopping.signal)

  /** No caller awaits a delivery, so no error may leave this function. */
  function inBackground(work: Promise<void>) {
    const settled = work.catch((err: unknown) => {
      if (!stopping.signal.aborted)
        log.error({ part: 'sandbox', err: nameOf(err) }, 'sandbox delivery failed')
    })
    running.add(settled)
    void settled.then(() => running.delete(settled))
  }

  /** Starts a delivery, and answers its id at once. */
  function start(message: Message, isSpared = false): string {
    const { sender, type, event_id, body } = message
    const delivery: Delivery = {
      delivery_id: runtime.uuid(),
      envelope_id: idIn(body),
      provider: sender.provider.name,
      type,
      event_id,
      state: 'pending',
      created_at: new Date(runtime.now()).toISOString(),
      body,
      attempts: [],
    }
    kept.add(delivery)
    inBackground(deliver(delivery, sender, isSpared))
    return delivery.delivery_id
  }

  /** Sends a finished delivery again, with the same id and body and with all attempts anew. */
  function resend(id: string): void {
    const delivery = kept.find(id)
    const sender = options.senders.find(({ provider }) => provider.name === delivery.provider)
    if (!sender) throw new Problem('not_found')
    if (delivery.state === 'pending') throw new Problem('delivery_pending')
    delivery.state = 'pending'
    inBackground(deliver(delivery, sender, false))
  }

  /** A spared delivery meets no faults: the deliveries of a burst must not burst. */
  async function deliver(delivery: Delivery, sender: Sender, isSpared: boolean): Promise<void> {
    const ended = AbortSignal.any([stopping.signal, forgotten.signal])
    for (const waitS of [...RETRY_AFTER_S, undefined]) {
      const due = isSpared ? undefined : faults.due('webhook')
      if (due?.fault.effect.lose) break
      if (await isTaken(delivery, sender, due)) {
        delivery.state = 'delivered'
        return
      }
      if (ended.aborted) return
      if (waitS !== undefined && !(await waited(waitS * 1000, ended))) return
    }
    delivery.state = 'dead'
  }

  /** Signs each attempt anew, since an old timestamp would be refused as a replay. */
  async function isTaken(
    delivery: Delivery,
    sender: Sender,
    due: ReturnType<Faults['due']>,
  ): Promise<boolean> {
    const { hold, burst, repeat } = due?.fault.effect ?? {}
    if (hold) await overtaking.wait()
    const { type, event_id, body } = delivery
    for (let others = burst ? (due?.size ?? 1) - 1 : 0; others > 0; others--)
      start({ sender, type, event_id, body: freshIds(body, runtime) }, true)
    for (let times = repeat ? 2 : 1; times > 0; times--)
      delivery.attempts.push(await attempt(delivery, sender, due?.fault, options))
    overtaking.passed()
    return delivery.attempts.slice(repeat ? -2 : -1).some(isSuccess)
  }

  async function play(installation: Installation): Promise<void> {
    const ended = AbortSignal.any([stopping.signal, forgotten.signal])
    const [sender] = options.senders
    const event = findEvent(installation.event_id)
    for (const { afterMs, draft } of sender && event ? story(state, event, runtime) : []) {
      if (!(await waited(afterMs, ended)) || !sender || installation.ended !== null) return
      start({ sender, ...envelope(draft(), runtime) })
      save()
    }
  }

  /** False where the wait was cancelled. */
  const waited = (ms: number, ended: AbortSignal) =>
    runtime.sleep(ms, ended).then(
      () => true,
      () => false,
    )

  /** Forgets every delivery, and sends none of them again. */
  function forget(): void {
    forgotten.abort()
    forgotten = new AbortController()
    kept.forget()
  }

  /** Cancels every wait. Nothing is sent afterwards. */
  async function stop(): Promise<void> {
    stopping.abort()
    // An attempt may still wait for its answer: its own time limit ends it.
    const halfSecond = AbortSignal.timeout(500)
    const given = new Promise<void>(resolve => halfSecond.addEventListener('abort', () => resolve()))
    await Promise.race([Promise.all(running), given])
  }

  /** Sends the webhooks of the first four seconds after an event was connected. */
  const playStory = (installation: Installation) => inBackground(play(installation))
  return { start, resend, playStory, forget, find: kept.find, list: kept.list, stop }
}

const isSuccess = ({ status }: { status: number | null }) => status !== null && status >= 200 && status < 300

const WITHIN_MS = 20_000

/** Lets deliveries wait until a later one has been sent before them. */
function createOvertaking(runtime: Pick<Runtime, 'sleep'>, stopping: AbortSignal) {
  const waiting = new Set<AbortController>()
  return {
    /** Waits for `passed`, twenty seconds at most; rejects when the sandbox stops. */
    async wait(): Promise<void> {
      const overtaken = new AbortController()
      waiting.add(overtaken)
      await runtime.sleep(WITHIN_MS, AbortSignal.any([overtaken.signal, stopping])).catch(() => {})
      waiting.delete(overtaken)
      stopping.throwIfAborted()
    },
    /** A delivery was sent: it ends every wait. */
    passed(): void {
      for (const overtaken of waiting) overtaken.abort()
    },
  }
}
