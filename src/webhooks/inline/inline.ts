import type { InlineAnswer } from '../../builder/context.ts'
import { AppError } from '../../http/errors.ts'
import { FixedTextError } from '../../process/disclosure.ts'
import type { DescribeError } from '../../process/errors.ts'
import type { Log } from '../../process/log.ts'
import { atMost, type Runtime, whenAborted } from '../../process/runtime.ts'
import { HandlerStopped } from '../dispatch/run.ts'
import type { Incoming } from '../inbox/append.ts'
import { senderOf } from '../inbox/dedupe.ts'
import type { Provider } from '../verify/provider.ts'
import type { InlineAnswers, StoredAnswer } from './answers.ts'

/** What the sender gets. `delivery` is the id of our row; `repeated` says that it is the first answer once more. */
interface Answered extends StoredAnswer {
  readonly delivery: number
  readonly repeated: boolean
}
export type AnswerInline = (provider: Provider, delivery: Incoming) => Promise<Answered>

export interface InlineOptions {
  readonly answers: InlineAnswers
  /** Returns undefined where the type has no handler. */
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
const ANSWER_WITHIN_MS = 8_000
const LOOK_AGAIN_MS = 100
/** A lease has time for three renewals. */
const RENEW_MS = 5_000
/** A repeat waits while the first request runs; more repeats than this are refused and come back later. */
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
    const given = await runFirst(run, { key, owner: claim.owner }, delivery, provider)
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

  /** Settles with the answer, or at the latest when the sender has to be told to ask again. */
  async function runFirst(
    run: (signal: AbortSignal) => Promise<unknown>,
    claim: Claim,
    delivery: Incoming,
    provider: Provider,
  ): Promise<StoredAnswer & { delivery: number }> {
    const late = new AbortController()
    const ended = new AbortController()
    const signal = AbortSignal.any([late.signal, stopping.signal])
    void renew(claim, ended.signal, late)
    const work = track(
      Promise.race([ending(run(signal), provider), stopped(ended.signal)])
        .finally(() => ended.abort())
        .then(outcome => store(claim, delivery, outcome))
        .catch(err => {
          // The sender is gone: only the log says that the answer was not kept.
          if (late.signal.aborted) log.error({ part: 'inline', err }, 'no late answer is kept')
          throw err
        }),
    )
    runtime.sleep(ANSWER_WITHIN_MS, ended.signal).then(
      () => late.abort(new HandlerLate()),
      () => {},
    )
    return Promise.race([work, untilLate(late.signal)])
  }

  /** Renews until the handler has ended, because it may ignore its signal: nobody else runs the key before. */
  async function renew({ key, owner }: Claim, ended: AbortSignal, late: AbortController): Promise<void> {
    for (;;) {
      await runtime.sleep(RENEW_MS, ended).catch(() => {})
      if (ended.aborted) return
      // Where the store does not answer, the next round may still be in time.
      const isOurs = await answers.renew(key, owner).catch(() => true)
      if (!isOurs) return late.abort(new LeaseLost())
    }
  }

  const stopped = (ended: AbortSignal) =>
    whenAborted(AbortSignal.any([stopping.signal, ended])).catch(
      (): Ending => ({ error: new HandlerStopped() }),
    )

  async function store({ key, owner }: Claim, delivery: Incoming, outcome: Ending) {
    if ('error' in outcome) {
      const { error } = outcome
      const mayStillRun = error instanceof HandlerStopped
      const id = await answers.letGo(key, owner, delivery, { error: describeError.text(error), mayStillRun })
      log.error({ part: 'inline', delivery: id, err: error }, 'no answer: the sender may ask again')
      throw mayStillRun
        ? new AppError('not_answered', { reason: error.name })
        : new AppError('internal_error', { reason: 'handler_failed' })
    }
    const id = await answers.keep(key, owner, delivery, outcome.answer)
    if (id === undefined) throw new AppError('not_answered', { reason: 'lease_lost' })
    return { ...outcome.answer, delivery: id }
  }

  /** Rejects when the handler is late. What it answers later is kept for a sender that asks again. */
  async function untilLate(late: AbortSignal): Promise<never> {
    await whenAborted(late).catch(() => {})
    log.warn(
      { part: 'inline', err: late.reason },
      'the handler has not answered yet: the sender has to ask again',
    )
    throw new AppError('not_answered', { reason: late.reason.name })
  }

  function track<T>(work: Promise<T>): Promise<T> {
    const settled: Promise<unknown> = work.then(
      () => running.delete(settled),
      () => running.delete(settled),
    )
    running.add(settled)
    return work
  }

  return {
    answer: (provider, delivery) => track(answer(provider, delivery)),
    async stop(graceMs) {
      await atMost(runtime, graceMs, Promise.all(running))
      stopping.abort(new HandlerStopped())
      await atMost(runtime, graceMs, Promise.all(running))
    },
  }
}

const beingAnswered = () => new AppError('not_answered', { reason: 'being_answered' })

interface Claim {
  readonly key: string
  readonly owner: string
}

type Ending = { readonly answer: StoredAnswer } | { readonly error: unknown }

const ending = (result: Promise<unknown>, provider: Provider): Promise<Ending> =>
  result.then(value => ({ answer: toAnswer(value, provider) })).catch((error: unknown) => ({ error }))

class HandlerLate extends FixedTextError {
  override readonly name = 'HandlerLate'
}
class LeaseLost extends FixedTextError {
  override readonly name = 'LeaseLost'
}

/** Thrown where the handler's result cannot be sent. */
class NotAnAnswer extends FixedTextError {
  override readonly name = 'NotAnAnswer'
}

/** Throws where the handler's result is no answer, which is a failure of the handler. */
function toAnswer(result: unknown, { accepted }: Provider): StoredAnswer {
  const { status = 200, body } = (result ?? {}) as InlineAnswer
  const isFinal =
    Number.isInteger(status) && ((status >= 200 && status < 300) || (status >= 400 && status < 600))
  if (!isFinal) throw new NotAnAnswer('the answer needs a status from 200 to 299 or from 400 to 599')
  const text = JSON.stringify(body ?? (status < 300 ? accepted : { status: 'denied' })) as string | undefined
  if (text === undefined) throw new NotAnAnswer('the body of the answer is no JSON')
  return { status, body: text }
}
