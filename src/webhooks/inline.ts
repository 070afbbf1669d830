import type { DescribeError } from '../describe-error.ts'
import { FixedTextError } from '../disclosure.ts'
import { AppError } from '../errors.ts'
import type { InlineAnswer } from '../handlers/context.ts'
import type { Log } from '../log.ts'
import { atMost, type Runtime } from '../runtime.ts'
import { senderOf } from './dedupe.ts'
import type { Incoming } from './inbox.ts'
import type { InlineAnswers, StoredAnswer } from './inline-answers.ts'
import type { Provider } from './provider.ts'

/** What the sender gets. `delivery`: our id of the row; `repeated`: it is the first answer once more. */
export interface Answered extends StoredAnswer {
  readonly delivery: number
  readonly repeated: boolean
}
export type AnswerInline = (provider: Provider, delivery: Incoming) => Promise<Answered>

export interface InlineOptions {
  readonly answers: InlineAnswers
  /** Undefined: this type has no handler. */
  readonly find: (delivery: Incoming) => ((signal: AbortSignal) => Promise<unknown>) | undefined
  readonly log: Log
  readonly describeError: Pick<DescribeError, 'text'>
}

export interface Inline {
  readonly answer: AnswerInline
  /** Handlers under way get `graceMs` to end. */
  stop(graceMs: number): Promise<void>
}

/** Senders give up after 10 s; the answer has to be stored and on its way before. */
export const ANSWER_WITHIN_MS = 8_000
const LOOK_AGAIN_MS = 100
/** A repeat waits while the first one runs; more of them than this come back later. */
const MAX_WAITING = 100

/** The way of a delivery whose handler is the answer: claim its key, run, keep the answer, give it. */
export function createInline({ answers, find, log, describeError }: InlineOptions, runtime: Runtime): Inline {
  const stopping = new AbortController()
  const running = new Set<Promise<unknown>>()
  let waiting = 0

  const answer: AnswerInline = async (provider, delivery) => {
    const run = find(delivery)
    if (!run) throw new AppError('unknown_event_type')
    const key = `${senderOf(delivery)} ${delivery.envelope.answerKey ?? delivery.envelope.id}`
    const claim = await claimOrWait(key, delivery)
    if (claim.state === 'answered') {
      const id = await answers.noteRepeat(delivery, claim.inboxId)
      return { ...claim.answer, delivery: id, repeated: true }
    }
    const given = await runFirst(run, key, claim.owner, delivery, provider)
    return { ...given, repeated: false }
  }

  async function claimOrWait(key: string, delivery: Incoming) {
    const until = runtime.monotonic() + ANSWER_WITHIN_MS
    const claim = await answers.claim(key, delivery)
    if (claim.state !== 'busy') return claim
    if (waiting >= MAX_WAITING) throw beingAnswered()
    waiting++
    try {
      while (runtime.monotonic() < until && !stopping.signal.aborted) {
        await runtime.sleep(LOOK_AGAIN_MS)
        const again = await answers.claim(key, delivery)
        if (again.state !== 'busy') return again
      }
    } finally {
      waiting--
    }
    throw beingAnswered()
  }

  async function runFirst(
    run: (signal: AbortSignal) => Promise<unknown>,
    key: string,
    owner: string,
    delivery: Incoming,
    provider: Provider,
  ): Promise<StoredAnswer & { delivery: number }> {
    const outcome = await withinTime(run)
      .then(result => ({ answer: toAnswer(result, provider) }))
      .catch((error: unknown) => ({ error }))
    if ('error' in outcome) {
      const id = await answers.letGo(key, owner, delivery, describeError.text(outcome.error))
      log.error({ part: 'inline', delivery: id, err: outcome.error }, 'no answer: the sender may ask again')
      if (outcome.error instanceof NoAnswer)
        throw new AppError('not_answered', { reason: outcome.error.name })
      throw new AppError('internal_error', { reason: 'handler_failed' })
    }
    const id = await answers.keep(key, owner, delivery, outcome.answer)
    if (id === undefined) throw new AppError('not_answered', { reason: 'lease_lost' })
    return { ...outcome.answer, delivery: id }
  }

  /** What the handler still does after its time changes nothing: its key is free by then. */
  function withinTime(run: (signal: AbortSignal) => Promise<unknown>): Promise<unknown> {
    const ended = new AbortController()
    const late = new AbortController()
    runtime.sleep(ANSWER_WITHIN_MS, ended.signal).then(
      () => late.abort(new HandlerLate()),
      () => {},
    )
    const signal = AbortSignal.any([late.signal, stopping.signal])
    const cut = new Promise<never>((_, reject) => {
      if (signal.aborted) reject(signal.reason)
      signal.addEventListener('abort', () => reject(signal.reason), { once: true })
    })
    return Promise.race([run(signal), cut]).finally(() => ended.abort())
  }

  const tracked: AnswerInline = (provider, delivery) => {
    const work = answer(provider, delivery)
    const settled = work.catch(() => {}).finally(() => running.delete(settled))
    running.add(settled)
    return work
  }

  return {
    answer: tracked,
    async stop(graceMs) {
      await atMost(runtime, graceMs, Promise.all(running))
      stopping.abort(new HandlerStopped())
      await atMost(runtime, graceMs, Promise.all(running))
    },
  }
}

const beingAnswered = () => new AppError('not_answered', { reason: 'being_answered' })

class NoAnswer extends FixedTextError {}
class HandlerLate extends NoAnswer {
  override readonly name = 'HandlerLate'
}
class HandlerStopped extends NoAnswer {
  override readonly name = 'HandlerStopped'
}

/** The handler's result cannot be sent. */
class NotAnAnswer extends FixedTextError {
  override readonly name = 'NotAnAnswer'
}

/** Throws where the handler's result is no answer: that is a failure of the handler. */
function toAnswer(result: unknown, { accepted }: Provider): StoredAnswer {
  const { status = 200, body } = (result ?? {}) as InlineAnswer
  const isFinal =
    Number.isInteger(status) && ((status >= 200 && status < 300) || (status >= 400 && status < 600))
  if (!isFinal) throw new NotAnAnswer('the answer needs a status from 200 to 299 or from 400 to 599')
  const text = JSON.stringify(body ?? (status < 300 ? accepted : { status: 'denied' })) as string | undefined
  if (text === undefined) throw new NotAnAnswer('the body of the answer is no JSON')
  return { status, body: text }
}
