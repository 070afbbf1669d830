import { sql } from 'kysely'
import { expect, test, vi } from 'vitest'
import type { Queries } from '../../src/storage/database.ts'
import { testDatabase } from '../helpers/database.ts'
import { insertDelivery } from '../helpers/deliveries.ts'
import { before, reopen, STATES } from './before-outcomes.ts'

test('every column of every delivery is found again, and no number is given twice', async () => {
  const old = await before()
  const rows = (query: Queries) => query.selectFrom('inbox').selectAll().orderBy('id').execute()
  const stored = (await rows(old.query)).map(row => ({
    ...row,
    body: Buffer.from(row.body ?? []).toString(),
  }))
  expect(stored.map(row => row.state)).toEqual([...STATES.slice(1), STATES[0]])
  await sql`insert into attempts (inbox_id, started_at, ended_at, attempt, outcome) values (3, 6, 7, 1, 'done')`.execute(
    old.query,
  )
  // The newest is gone.
  await sql`delete from inbox where id = 7`.execute(old.query)
  const query = await reopen(old)
  const found = (await rows(query)).map(row => ({ ...row, body: Buffer.from(row.body ?? []).toString() }))
  expect(found).toEqual(stored.slice(0, 6).map(row => ({ ...row, trace_id: null, headers: null })))
  expect(await query.selectFrom('runs').select(['inbox_id', 'started_at', 'ended_at']).execute()).toEqual([
    { inbox_id: 3, started_at: 6, ended_at: 7 },
  ])
  expect(await insertDelivery(query)).toBe(8)
})

test('of a database whose first five million are gone, only what is left is moved and told of', async () => {
  const old = await before()
  for (const row of await old.query.selectFrom('inbox').select('id').orderBy('id', 'desc').execute())
    await sql`update inbox set id = id + 5000000 where id = ${row.id}`.execute(old.query)
  const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  const query = await reopen(old)
  const told = stderr.mock.calls.filter(([text]) => /are left/.test(String(text)))
  stderr.mockRestore()
  expect(told.length).toBeLessThanOrEqual(1)
  expect(await query.selectFrom('outcomes').select('id').execute()).toHaveLength(7)
})

test('a process of the version before that still runs is refused with an error that it answers with 503', async () => {
  const { query } = await testDatabase()
  const insert = sql`insert into inbox
    (provider, delivery_id, envelope_id, type, event_id, organization_id, state, attempts, next_at, received_at, body,
    platform) values ('revento', null, 'e', 't', null, null, 'pending', 0, 0, 1, null, 'real')`
  await expect(insert.execute(query)).rejects.toMatchObject({ name: 'StorageError' })
  expect(await query.selectFrom('deliveries').select('id').execute()).toEqual([])
})
