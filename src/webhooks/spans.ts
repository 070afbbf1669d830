import { beginSpan, failSpan, inSpan, linkTo, placeOf, type Span, within } from '../process/tracing.ts'
import type { Incoming } from './inbox/append.ts'
import type { Claimed } from './inbox/claim.ts'
import type { Inbox } from './inbox/inbox.ts'
import type { Outcome } from './inbox/outcomes.ts'

export interface RunSpans {
  /** The inbox, with a span for each commit of a delivery whose request has one. */
  commits(inbox: Inbox): Inbox
  /** The span of a run, undefined where nobody records it. */
  begin(delivery: Claimed): Span | undefined
}

/** So many deliveries may wait for their first run in this process; beyond, the runs of the oldest only link. */
const MOST_WAITING = 1_000

/**
 * The first run of a delivery, in the process that received it, belongs to the trace of its request. A later one, or one
 * of another process, may come hours after: it begins a trace of its own, with a link to that request.
 */
export function createRunSpans(): RunSpans {
  const waiting = new Map<string, Span>()

  function wait(span: Span, place: string): void {
    waiting.set(place, span)
    const [oldest] = waiting.size > MOST_WAITING ? waiting.keys() : []
    if (oldest !== undefined) waiting.delete(oldest)
  }

  return {
    commits: inbox => ({
      ...inbox,
      append(delivery) {
        const { span } = delivery
        if (!span) return inbox.append(delivery)
        const place = placeOf(span)
        if (place) wait(span, place)
        return inSpan(beginSpan('commit'), () => inbox.append(delivery))
      },
    }),
    begin(delivery) {
      const { receipt } = delivery
      const request = receipt === null ? undefined : waiting.get(receipt)
      if (receipt !== null) waiting.delete(receipt)
      const links = receipt === null ? [] : [linkTo(receipt)]
      const span = request
        ? within(request, () => processSpan(delivery.type))
        : processSpan(delivery.type, { root: true, links })
      if (!span?.isRecording()) return span
      return span.setAttributes({
        ...aboutRun(delivery.provider, delivery.type),
        'messaging.message.id': String(delivery.id),
        'revento.event_id': delivery.eventId ?? undefined,
        'revento.attempt': delivery.attempt,
      })
    },
  }
}

const processSpan = (type: string, o?: Parameters<typeof beginSpan>[1]) =>
  beginSpan(`process ${type}`, { ...o, kind: 'consumer' })

const aboutRun = (provider: string, type: string) => ({
  'messaging.system': provider,
  'messaging.operation.name': 'process',
  'messaging.operation.type': 'process',
  'messaging.destination.name': type,
})

export function endRun(span: Span, { outcome, err }: { outcome: Outcome; err?: unknown }): void {
  span.setAttribute('revento.outcome', outcome.state)
  if (outcome.state === 'retry' || outcome.state === 'dead') failSpan(span, err)
  span.end()
}

/** Runs a handler whose sender waits for its answer: always in its request, which is under way. */
export function runInline<T>(
  { span, provider, envelope: { type } }: Incoming,
  run: () => Promise<T>,
): Promise<T> {
  return span ? inSpan(processSpan(type)?.setAttributes(aboutRun(provider, type)), run) : run()
}
