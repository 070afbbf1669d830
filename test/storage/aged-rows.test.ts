import { expect, test } from 'vitest'
import { createSteadyClock } from '../../src/process/trusted-time.ts'
import { type AgedRows, tidyAged } from '../../src/storage/aged-rows.ts'
import { manualClock } from '../helpers/clock.ts'
import { testDatabase } from '../helpers/database.ts'

const [HOUR, DAY] = [3_600_000, 86_400_000]
const ROWS: AgedRows = {
  table: 'flows',
  key: 'state_hash',
  ends: 'expires_at',
  begins: 'created_at',
  keptMs: HOUR,
  longestMs: 600_000,
}

async function start() {
  const [{ query }, own] = [await testDatabase(), manualClock()]
  let set = 0
  const clock = createSteadyClock({ monotonic: own.monotonic, now: () => own.now() + set })
  let pauses = 0
  return {
    query,
    own,
    setClock(ms: number) {
      set += ms
    },
    save: (names: readonly string[], expires_at: number) =>
      query
        .insertInto('flows')
        .values(
          names.map(state_hash => ({
            ...{ state_hash, cookie_hash: 'c', verifier: null, event_id: 'e', used_at: null },
            ...{ created_at: expires_at - 600_000, expires_at },
          })),
        )
        .execute(),
    tidy: () => tidyAged(query, [ROWS], clock, async () => void pauses++),
    pauses: () => pauses,
    rows: async () => {
      const found = await query.selectFrom('flows').selectAll().orderBy('state_hash').execute()
      return found.map(row => [row.state_hash, row.created_at, row.expires_at])
    },
  }
}

test('what has ended goes when it was kept for its time, in batches with a pause between', async () => {
  const { own, save, tidy, pauses, rows } = await start()
  own.advance(HOUR)
  const now = own.now()
  await save(
    Array.from({ length: 1_200 }, (_, i) => `old ${i}`),
    now - HOUR - 1,
  )
  await save(['just ended'], now - HOUR)
  await save(['under way'], now + 600_000)
  await tidy()
  expect((await rows()).map(([name]) => name)).toEqual(['just ended', 'under way'])
  expect(pauses()).toBe(2)
})

test('an end that no clock of now can have noted comes to where it can be, with its beginning', async () => {
  const { own, save, tidy, rows } = await start()
  own.advance(HOUR)
  const now = own.now()
  const latest = now + 600_000 + 60_000
  await save(['ahead'], latest + 1)
  await save(['clocks apart'], latest)
  await save(['far ahead'], now + 730 * DAY)
  await tidy()
  expect(await rows()).toEqual([
    ['ahead', now, now + 600_000],
    ['clocks apart', latest - 600_000, latest],
    ['far ahead', now, now + 600_000],
  ])
})

test.each([
  ['in the first hour', 0, HOUR - 1],
  ['less than an hour after the clock was set ahead', 31 * DAY, HOUR - 1],
  ['less than an hour after it was set back', -31 * DAY, HOUR - 1],
])('touches nothing %s', async (_name, by, ms) => {
  const { own, save, tidy, rows, setClock } = await start()
  if (by !== 0) own.advance(2 * HOUR)
  await save(['old'], own.now() - 2 * HOUR)
  await save(['ahead'], own.now() + 730 * DAY)
  const before = await rows()
  setClock(by)
  await tidy()
  own.advance(ms)
  await tidy()
  expect(await rows()).toEqual(before)
  own.advance(1)
  await tidy()
  expect(await rows()).not.toEqual(before)
})
