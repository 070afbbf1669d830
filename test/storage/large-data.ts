import type { Insertable } from 'kysely'
import { createSealer } from '../../src/keys/sealing.ts'
import { tokenColumns } from '../../src/oauth/token-columns.ts'
import { systemRuntime } from '../../src/process/runtime.ts'
import type { Queries, Store } from '../../src/storage/database.ts'
import type { DeliveryState, Schema } from '../../src/storage/schema.ts'
import { seedEvent } from '../helpers/seed.ts'

const DAY = 86_400_000
export const ORGANIZATION = 'org_test_formal'
/** The states of the deliveries, oldest first, as in an inbox where each came in its turn. */
const EVENTS = [
  { eventId: 'evt_ended', state: 'done', days: 40 },
  { eventId: 'evt_left', state: 'parked', days: 40 },
  { eventId: 'evt_handled', state: 'done', days: 10 },
  { eventId: 'evt_erased', state: 'dead', days: 1 },
  { eventId: 'evt_test_published', state: 'parked', days: 1 },
  { eventId: 'evt_ahead', state: 'pending', days: 0 },
] as const satisfies readonly { eventId: string; state: DeliveryState; days: number }[]

/** Stores `rows` of everything that grows with what people and platforms send: deliveries of each event, connections … */
export async function seedLarge(query: Queries, store: Store, rows: number): Promise<void> {
  const now = Date.now()
  for (const { eventId, state, days } of EVENTS) {
    const of = { eventId, organizationId: ORGANIZATION, bodyBytes: 100, type: 'activity.updated' }
    await seedEvent(store, { ...of, rows, state, receivedAt: now - days * DAY })
  }
  const numbers = Array.from({ length: rows }, (_, n) => n)
  const insert = async <T extends keyof Schema>(table: T, row: (n: number) => Insertable<Schema[T]>) => {
    for (let from = 0; from < rows; from += 400)
      await query
        .insertInto(table)
        .values(numbers.slice(from, from + 400).map(row) as never)
        .execute()
  }
  // These were written under a clock that was two years ahead.
  await query
    .updateTable('outcomes')
    .set({ next_at: now + 730 * DAY })
    .where('event_id', '=', 'evt_ahead')
    .execute()
  // The first deliveries have as many runs as any delivery keeps.
  for (const eventId of ['evt_ended', 'evt_handled', 'evt_erased']) {
    const { id } = await query
      .selectFrom('inbox')
      .select(eb => eb.fn.min<number>('id').as('id'))
      .where('event_id', '=', eventId)
      .executeTakeFirstOrThrow()
    const run = { attempt: 1, outcome: 'postponed', error: 'later', ended_at: null, calls: null } as const
    await insert('attempts', n => ({ ...run, inbox_id: id + Math.floor(n / 99), started_at: n }))
  }
  const key = { event_id: 'evt_erased', organization_id: ORGANIZATION, platform: 'real' } as const
  const fact = { ...key, last_type: 't', occurred_at: '', last_delivery: 1, updated_at: now } as const
  const named = { name: 'Ada', name_at: '', name_delivery: 1 }
  const status = { application_status: 'approved', status_at: '', status_delivery: 1 }
  await insert('participants', n => ({ ...fact, ...named, ...status, participant_id: `ptp_${n}` }))
  await insert('sessions', n => ({ id_hash: `old_${n}`, created_at: 1, expires_at: 1 }))
  await insert('sessions', n => ({ id_hash: `s_${n}`, created_at: now, expires_at: now + DAY }))
  const held = { event_id: 'evt_test_published', organization_id: ORGANIZATION }
  await insert('session_connections', n => ({ session_hash: `s_${n}`, ...held }))
  const flow = { cookie_hash: 'c', verifier: null, event_id: 'evt_1', created_at: 1, used_at: null }
  await insert('flows', n => ({
    ...flow,
    state_hash: `f_${n}`,
    expires_at: n % 2 === 0 ? 1 : now + 730 * DAY,
  }))
  await insert('handshake_callers', n => ({ address: `10.0.${n >> 8}.${n % 256}`, registered_at: now }))
  const answer = {
    status: 200,
    body: '{}',
    inbox_id: null,
    event_id: null,
    lease_owner: null,
    lease_until: 0,
  }
  await insert('inline_answers', n => ({ ...answer, key: `k_${n}`, updated_at: 1 }))
  const sealer = createSealer({ current: Buffer.alloc(32, 7) }, systemRuntime)
  // Unused for 60 days, and about to end; sealed with the key of `startApp`.
  const tokens = {
    accessToken: 'a',
    refreshToken: 'r',
    expiresIn: 3600,
    refreshExpiresIn: 64 * 86_400,
    scope: '',
  }
  const connected = { state: 'connected', reason: null, scope: 'event.read', version: 1 } as const
  const since = { connected_at: now - 60 * DAY, consent_expires_at: now + 300 * DAY }
  await insert('connections', n => {
    const id = { eventId: n === 0 ? 'evt_erased' : `evt_${n}`, organizationId: ORGANIZATION }
    const columns = tokenColumns(sealer, { ...tokens, ...id }, since.consent_expires_at, since.connected_at)
    return { event_id: id.eventId, organization_id: id.organizationId, ...connected, ...since, ...columns }
  })
}
