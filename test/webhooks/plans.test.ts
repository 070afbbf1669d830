import { expect, test, vi } from 'vitest'
import { SqliteFile } from '../../src/storage/sqlite.ts'
import { createBacklog } from '../../src/webhooks/backlog.ts'
import { onFile } from '../helpers/database.ts'
import { until } from '../helpers/wait.ts'
import { bench, KEY } from './dispatching.ts'

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

  const asked = new Set(prepare.mock.calls.map(([sql]) => sql).filter(sql => / "?inbox"?\b/.test(sql)))
  vi.restoreAllMocks()
  expect(asked.size).toBeGreaterThan(6)
  const plans = await onFile(b.database, file =>
    [...asked].map(sql => ({ sql, plan: JSON.stringify(file.prepare(`explain query plan ${sql}`).all()) })),
  )
  for (const { sql, plan } of plans) expect(plan, sql).not.toMatch(/SCAN inbox"/)
  expect(plans.find(({ sql }) => sql.includes("'parked'"))?.plan).toContain('inbox_parked')
})
