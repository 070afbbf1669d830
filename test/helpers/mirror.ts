import type { Insertable } from 'kysely'
import type { ParticipantsTable, SyncRunsTable } from '../../src/storage/schema.ts'
import { LEASE_MS } from '../../src/sync/runs.ts'
import type { TestApp } from './app.ts'

const KEY = { platform: 'real', event_id: 'evt_test_published', organization_id: 'org_test_formal' } as const
export const FRESH_AT = '2026-11-30T03:02:11.000Z'

/** Stores these participants as a complete comparison would. */
export async function mirrored(
  { database: { query } }: Pick<TestApp, 'database'>,
  people: readonly (Partial<Insertable<ParticipantsTable>> & { participant_id: string })[],
): Promise<void> {
  const facts = { name_at: FRESH_AT, status_at: FRESH_AT, last_type: '', occurred_at: '', last_delivery: 0 }
  const rows = people.map(person => ({
    ...{ ...KEY, ...facts, name: null, name_delivery: 0, application_status: null, status_delivery: 0 },
    ...{ updated_at: Date.parse(FRESH_AT), ...person },
  }))
  for (let n = 0; n < rows.length; n += 500)
    await query
      .insertInto('participants')
      .values(rows.slice(n, n + 500))
      .execute()
}

/** Stores a comparison in some state. An open one is leased by another process, so that the app leaves it alone. */
export const ranAs = (
  { database: { query } }: Pick<TestApp, 'database'>,
  run: Partial<Insertable<SyncRunsTable>>,
) =>
  query
    .insertInto('sync_runs')
    .values({
      ...{
        ...KEY,
        list: 'participants',
        reason: 'connected',
        connected_at: 0,
        tells: 0,
        created_at: 0,
        phase: 'list',
        ...(run.outcome ? {} : { lease_owner: 'another', lease_until: Date.now() + LEASE_MS - 1 }),
      },
      ...run,
    })
    .execute()

export const COMPLETE = { outcome: 'done', finished_at: Date.parse(FRESH_AT), fresh_at: FRESH_AT } as const
