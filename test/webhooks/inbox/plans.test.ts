import { expect, test, vi } from 'vitest'
import { systemRuntime } from '../../../src/process/runtime.ts'
import { SqliteFile } from '../../../src/storage/sqlite/sqlite.ts'
import { createBacklog } from '../../../src/webhooks/inbox/backlog.ts'
import { onFile, type TestDatabase, testDatabase } from '../../helpers/database.ts'
import { erase } from '../../helpers/erase.ts'
import { until } from '../../helpers/wait.ts'
import { bench, KEY } from '../dispatch/dispatching.ts'

const plansOf = (database: TestDatabase, calls: readonly [sql: string][]) => {
  const asked = new Set(
    calls.map(([sql]) => sql).filter(sql => / "?(inbox|deliveries|outcomes|participants)"?\b/.test(sql)),
  )
  return onFile(database, file =>
    [...asked].map(sql => ({ sql, plan: JSON.stringify(file.prepare(`explain query plan ${sql}`).all()) })),
  )
}

test('nothing that the dispatcher or the backlog asks reads the whole inbox', async () => {
  const b = await bench()
  const prepare = vi.spyOn(SqliteFile.prototype, 'prepare')
  let runs = 0
  const dispatcher = b.dispatcher({
    isParking: () => true,
    run: async () => {
      if (++runs % 2 === 1) throw new Error('parks')
    },
  })
  const id = await b.append({ id: 'evt_a' })
  await b.append({ id: 'evt_a' })
  await b.reaches(id, 'parked')
  await b.connect()
  dispatcher.resume(KEY)
  await b.reaches(id, 'done')
  const stop = new AbortController()
  const watching = createBacklog(b.database.query, b.clock).watch(stop.signal)
  await until(() => prepare.mock.calls.some(([sql]) => sql.includes('count(*)')))
  stop.abort()
  await watching

  const plans = await plansOf(b.database, prepare.mock.calls)
  vi.restoreAllMocks()
  expect(plans.length).toBeGreaterThan(6)
  for (const { sql, plan } of plans) expect(plan, sql).not.toMatch(/SCAN (inbox|deliveries|outcomes)"/)
  expect(plans.find(({ sql }) => sql.includes("'parked'"))?.plan).toContain('outcomes_parked')
})

test('no batch of an erasure reads more of a large event than its rows', async () => {
  const database = await testDatabase()
  const prepare = vi.spyOn(SqliteFile.prototype, 'prepare')
  for (const organizationId of ['org_1', null])
    await erase(database.query, systemRuntime, { eventId: 'evt_1', organizationId })
  const plans = await plansOf(database, prepare.mock.calls)
  vi.restoreAllMocks()
  expect(plans.filter(({ sql }) => sql.includes('length(body)'))).toHaveLength(2)
  // Sorted is what was read whole before.
  for (const { sql, plan } of plans)
    expect(plan, sql).not.toMatch(/SCAN (inbox|deliveries|outcomes|participants)"|TEMP B-TREE/)
})
