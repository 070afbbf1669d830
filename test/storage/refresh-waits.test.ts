import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { systemRuntime as runtime } from '../../src/process/runtime.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { testStore } from '../helpers/database.ts'
import { takeBack } from '../helpers/older-schema.ts'
import { saveConnections, sealerOf } from '../helpers/sealed.ts'

test('migration 012: a recovering refresh is asked again, and no wait of the earlier version counts', async () => {
  const { store } = await testStore()
  const current = await openDatabase(store, runtime)
  await saveConnections(current.query, sealerOf(1), 3)
  await takeBack(current.query, '011', ['connections'])
  await sql`update connections set refresh_not_before = 99999999999999, refresh_failures = 2`.execute(
    current.query,
  )
  for (const [event, phase] of [
    ['evt_1', 'recovering'],
    ['evt_2', 'sent'],
  ])
    await sql`update connections set refresh_phase = ${phase} where event_id = ${event}`.execute(
      current.query,
    )
  await current.close()

  const migrated = await openDatabase(store, runtime)
  const rows = await migrated.query
    .selectFrom('connections')
    .select(['event_id', 'refresh_phase', 'refresh_not_before', 'refresh_noted_at', 'state'])
    .orderBy('event_id')
    .execute()
  await migrated.close()
  const cleared = { refresh_not_before: 0, refresh_noted_at: 0, state: 'connected' }
  expect(rows.map(({ event_id: _, ...row }) => row)).toEqual([
    { ...cleared, refresh_phase: 'sent' },
    { ...cleared, refresh_phase: 'sent' },
    { ...cleared, refresh_phase: 'idle' },
  ])
})
