import { firstLine } from '../../process/errors.ts'
import type { Runtime } from '../../process/runtime.ts'
import type { SteadyClock } from '../../process/trusted-time.ts'
import type { AgedRows } from '../../storage/aged-rows.ts'
import type { Queries } from '../../storage/database.ts'
import type { OutcomesTable } from '../../storage/schema.ts'
import { transaction } from '../../storage/sql.ts'
import { type Incoming, receiptOf } from '../inbox/append.ts'

/** An answer as it was sent, byte for byte. */
export interface StoredAnswer {
  readonly status: number
  readonly body: string
}

interface Failure {
  readonly error: string
  readonly mayStillRun: boolean
}

/** `mine`: the caller runs the handler now. `busy`: somebody else runs it. */
type AnswerClaim =
  | { readonly state: 'mine'; readonly owner: string }
  | { readonly state: 'busy' }
  | { readonly state: 'answered'; readonly answer: StoredAnswer; readonly inboxId: number }

/** When a key is removed, its next repeat runs the handler again. */
export const answerRows = (days: number): AgedRows => ({
  table: 'inline_answers',
  key: 'key',
  ends: 'updated_at',
  keptMs: days * 24 * 3_600_000,
  longestMs: 0,
})

/** A lease is renewed while the handler runs: when it runs out, its process has died. */
const ANSWER_LEASE_MS = 15_000

/**
 * The first answers, one for each key. A key is claimed before its handler runs, and kept only together with an answer: a
 * run that ends without one frees it, or its lease runs out, so that the sender may ask again.
 */
export interface InlineAnswers {
  claim(key: string, delivery: Incoming): Promise<AnswerClaim>
  /** Stores answer and inbox row in one transaction. Undefined where the lease had passed to another: nothing is stored. */
  keep(key: string, owner: string, delivery: Incoming, answer: StoredAnswer): Promise<number | undefined>
  /** False where the lease had passed to another, or the key was erased. */
  renew(key: string, owner: string): Promise<boolean>
  /** Stores the failure and frees the key: at once, or at the lease's end where the handler may still run. */
  letGo(key: string, owner: string, delivery: Incoming, failure: Failure): Promise<number>
  /** Stores a repeat, which got the first answer. */
  noteRepeat(delivery: Incoming, first: number): Promise<number>
}

export function createInlineAnswers(
  query: Queries,
  clock: Pick<SteadyClock, 'leaseEnds'>,
  runtime: Pick<Runtime, 'now' | 'uuid'>,
): InlineAnswers {
  return {
    async claim(key, delivery) {
      const { after, now, latest } = clock.leaseEnds(ANSWER_LEASE_MS)
      const owner = runtime.uuid()
      const claimed = {
        event_id: delivery.envelope.eventId,
        lease_owner: owner,
        lease_until: now + ANSWER_LEASE_MS,
        updated_at: now,
      }
      // This statement decides: of two requests at the same time, one gets the row.
      const mine = await query
        .insertInto('inline_answers')
        .values({ key, status: null, body: null, inbox_id: null, ...claimed })
        .onConflict(c =>
          c
            .column('key')
            .doUpdateSet(claimed)
            .where('inline_answers.status', 'is', null)
            .where(eb =>
              eb.or([
                eb.and([
                  eb('inline_answers.lease_until', '>', after),
                  eb('inline_answers.lease_until', '<=', now),
                ]),
                eb('inline_answers.lease_until', '>', latest),
              ]),
            ),
        )
        .returning('key')
        .executeTakeFirst()
      if (mine) return { state: 'mine', owner }
      const row = await query
        .selectFrom('inline_answers')
        .select(['status', 'body', 'inbox_id'])
        .where('key', '=', key)
        .executeTakeFirst()
      if (!row || row.status === null || row.body === null) return { state: 'busy' }
      const { status, body, inbox_id } = row
      return { state: 'answered', answer: { status, body }, inboxId: inbox_id ?? 0 }
    },

    keep: (key, owner, delivery, answer) =>
      transaction(query, async trx => {
        const now = runtime.now()
        const { numUpdatedRows } = await trx
          .updateTable('inline_answers')
          .set({ ...answer, lease_owner: null, updated_at: now })
          .where('key', '=', key)
          .where('lease_owner', '=', owner)
          .executeTakeFirst()
        if (numUpdatedRows === 0n) return undefined
        const id = await append(trx, delivery, { state: 'done', finished_at: now })
        await trx.updateTable('inline_answers').set({ inbox_id: id }).where('key', '=', key).execute()
        return id
      }),

    async renew(key, owner) {
      const now = runtime.now()
      const { numUpdatedRows } = await query
        .updateTable('inline_answers')
        .set({ lease_until: now + ANSWER_LEASE_MS, updated_at: now })
        .where('key', '=', key)
        .where('lease_owner', '=', owner)
        .executeTakeFirst()
      return numUpdatedRows === 1n
    },

    letGo: (key, owner, delivery, { error, mayStillRun }) =>
      transaction(query, async trx => {
        if (!mayStillRun)
          await trx
            .deleteFrom('inline_answers')
            .where('key', '=', key)
            .where('lease_owner', '=', owner)
            .execute()
        return append(
          trx,
          delivery,
          { state: 'dead', finished_at: runtime.now(), last_error: firstLine(error) },
          error,
        )
      }),

    noteRepeat: (delivery, first) =>
      transaction(query, trx =>
        append(trx, delivery, {
          state: 'duplicate',
          finished_at: runtime.now(),
          attempts: 0,
          duplicate_of: first,
        }),
      ),
  }
}

/** Appends a delivery in its final state, so that the dispatcher never sees it. */
async function append(
  trx: Queries,
  d: Incoming,
  end: Partial<Omit<OutcomesTable, 'crashes'>> & Pick<OutcomesTable, 'state'>,
  error: string | null = null,
): Promise<number> {
  const keys = {
    platform: d.platform,
    event_id: d.envelope.eventId,
    organization_id: d.envelope.organizationId,
  }
  const { id } = await trx
    .insertInto('deliveries')
    .values({
      ...keys,
      provider: d.provider,
      delivery_id: d.deliveryId,
      envelope_id: d.envelope.id,
      type: d.envelope.type,
      received_at: d.receivedAt,
      trace_id: receiptOf(d),
      headers: d.headers ?? null,
      body: end.state === 'duplicate' ? null : d.body,
    })
    .returning('id')
    .executeTakeFirstOrThrow()
  await trx
    .insertInto('outcomes')
    .values({ ...keys, id, attempts: 1, next_at: d.receivedAt, ...end })
    .execute()
  if (end.state !== 'duplicate')
    await trx
      .insertInto('attempts')
      .values({
        inbox_id: id,
        started_at: d.receivedAt,
        ended_at: end.finished_at ?? null,
        attempt: 1,
        outcome: end.state === 'dead' ? 'dead' : 'done',
        error,
        calls: null,
      })
      .execute()
  return id
}
