import { expect, test, vi } from 'vitest'
import { SqliteFile } from '../../src/storage/sqlite/sqlite.ts'
import { createDeliveries } from '../../src/webhooks/inbox/deliveries.ts'
import { testFile } from '../helpers/database.ts'
import { grantOf } from '../helpers/grants.ts'

test('what an organizer is shown is found by its event and organization, in its order', async () => {
  const database = await testFile()
  const deliveries = createDeliveries(database.query)
  const mine = await grantOf('evt_1')
  const prepare = vi.spyOn(SqliteFile.prototype, 'prepare')
  await deliveries.newest(mine, 20)
  await deliveries.stuck(mine, 'dead', 100)
  await deliveries.stuck(mine, 'parked', 100)
  const asked = prepare.mock.calls.map(([sql]) => sql)
  vi.restoreAllMocks()
  const plans = await database.exclusively(file =>
    asked.map(sql => JSON.stringify(file.prepare(`explain query plan ${sql}`).all())),
  )
  const used = (index: string) =>
    expect.stringMatching(`${index} \\((platform=\\? AND )?event_id=\\? AND organization_id=\\?`)
  expect(plans).toEqual([used('deliveries_event'), used('outcomes_stuck'), used('outcomes_(stuck|parked)')])
  for (const plan of plans) expect(plan).not.toContain('TEMP B-TREE')
})
