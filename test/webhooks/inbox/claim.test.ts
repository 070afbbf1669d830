import { expect, test } from 'vitest'
import { byteBatch } from '../../../src/storage/sql.ts'
import { claim } from '../../../src/webhooks/inbox/claim.ts'
import { type Bench, bench } from '../dispatch/dispatching.ts'

const MB = 1024 * 1024

function claimMany({ database, clock }: Bench) {
  const [now, leaseMs] = [clock.now(), 30_000]
  return claim(database.query, {
    ...{ owner: 'me', platform: 'real', limit: 100, running: 0, held: [], leaseMs, maxAttempts: 8, now },
    ends: { after: 0, now, latest: now + leaseMs },
    hasHandler: () => true,
  })
}

test('a claim takes no more bodies at once than sixteen megabytes of each kind', async () => {
  const b = await bench()
  const [waited, ...others] = [1, 4, 4, 4, 4, 1].map(size => ({ size, id: b.append() }))
  if (!waited) throw new Error('none')
  for (const { size, id } of [waited, ...others])
    await b.database.query
      .updateTable('deliveries')
      .set({ body: Buffer.alloc(size * MB, ' ') })
      .where('id', '=', await id)
      .execute()
  // What comes back has room of its own.
  await b.database.query
    .updateTable('outcomes')
    .set({ next_at: 1 })
    .where('id', '=', await waited.id)
    .execute()
  const sizes = async () => {
    const { claimed } = await claimMany(b)
    return claimed.map(({ body }) => (body?.length ?? 0) / MB).toSorted()
  }
  expect([await sizes(), await sizes(), await sizes()]).toEqual([[1, 4, 4, 4, 4], [1], []])
})

test('a body that is larger than that is claimed, by itself', () => {
  expect(byteBatch([{ bytes: 17 * MB }, { bytes: 1 }], 16 * MB)).toHaveLength(1)
})
