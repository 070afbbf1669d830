import { expect, test } from 'vitest'
import type { Platform } from '../../../src/storage/schema.ts'
import { parkedAndConnected } from '../../../src/webhooks/inbox/parked.ts'
import { seedEvent } from '../../helpers/seed.ts'
import { type Bench, bench, KEY } from '../dispatch/dispatching.ts'

const PLATFORMS: [mine: Platform, other: Platform][] = [
  ['real', 'sandbox'],
  ['sandbox', 'real'],
]

async function park({ database: { query }, append }: Bench, platform: Platform): Promise<number> {
  const id = await append()
  await query.updateTable('outcomes').set({ state: 'parked', platform }).where('id', '=', id).execute()
  return id
}

/** The one connection there is. */
async function connect(b: Bench, platform: Platform): Promise<void> {
  await b.database.query.deleteFrom('connections').execute()
  await b.connect()
  await b.database.query.updateTable('connections').set({ platform }).execute()
}

test.each(PLATFORMS)(
  'what is parked on %s is woken without what is parked on %s',
  async (platform, other) => {
    const b = await bench()
    const [mine, others] = [await park(b, platform), await park(b, other)]
    await connect(b, platform)
    b.dispatcher({ platform, run: async () => {} }).resume(KEY)
    await b.reaches(mine, 'done')
    expect((await b.row(others)).state).toBe('parked')
  },
)

test.each(PLATFORMS)('what is parked on %s does not wait for a connection on %s', async (platform, other) => {
  const b = await bench()
  await park(b, platform)
  await connect(b, other)
  const found = (of: Platform) => Array.fromAsync(parkedAndConnected(b.database.query, of))
  expect([await found(platform), await found(other)]).toEqual([[], []])
  await connect(b, platform)
  expect(await found(platform)).toEqual([{ platform, event_id: 'evt_1', organization_id: 'org_1' }])
})

test.each(PLATFORMS)('waking on %s does not wait for what is due on %s', async (platform, other) => {
  const b = await bench()
  const mine = await park(b, platform)
  const due = {
    rows: 2_500,
    state: 'pending',
    eventId: 'evt_2',
    organizationId: 'org_2',
    bodyBytes: 0,
  } as const
  await seedEvent(b.database.store, { ...due, receivedAt: b.clock.now() })
  await b.database.query
    .updateTable('outcomes')
    .set({ platform: other, next_at: 1 })
    .where('event_id', '=', 'evt_2')
    .execute()
  await connect(b, platform)
  b.dispatcher({ platform, run: async () => {} }).resume(KEY)
  await b.reaches(mine, 'done')
})
